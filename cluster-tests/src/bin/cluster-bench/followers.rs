//! placeholder
use anyhow::Result;
use clap::Args;
#[derive(Args)]
pub(crate) struct Followers {}
pub(crate) async fn run(_: &Followers) -> Result<()> {
    Ok(())
}
