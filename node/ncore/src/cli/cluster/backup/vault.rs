//! Where backups are kept: a directory, or a prefix of a bucket.
//!
//! ```text
//!   <vault>/<name>/<file> ...        the files of the checkpoint
//!   <vault>/<name>/manifest.json     written last, removed first
//! ```

use std::{
    fs::{self, File},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, buffered::BufWriter, local::LocalFileSystem, path::Path};

use super::manifest::{Manifest, age_of};

const MANIFEST: &str = "manifest.json";
/// How much of a file is sent at once. Files that are smaller are sent whole.
const PART: usize = 8 << 20;

/// A place for backups.
pub(crate) struct Vault {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The directory, if it is one: then what was written has to be synced too.
    dir: Option<PathBuf>,
}

/// What stands under a name.
pub(crate) struct Found {
    /// The name.
    pub(crate) name: String,
    /// What it says of itself; `None` for one that was never completed.
    pub(crate) manifest: Option<Manifest>,
}

impl Vault {
    /// Opens a place for writing; a directory is made if it is not there.
    pub(crate) fn create(location: &str, endpoint: Option<&str>) -> Result<Self> {
        if !location.starts_with("s3://") {
            fs::create_dir_all(location).with_context(|| format!("cannot create {location}"))?;
        }
        Self::open(location, endpoint)
    }

    /// Opens a place: `s3://bucket/prefix`, or a directory.
    pub(crate) fn open(location: &str, endpoint: Option<&str>) -> Result<Self> {
        let Some(rest) = location.strip_prefix("s3://") else {
            if let Some((scheme, _)) = location.split_once("://") {
                bail!("cannot keep backups at {scheme}://; give a directory, or s3://bucket/prefix");
            }
            let dir = fs::canonicalize(location).with_context(|| format!("there is no directory {location}"))?;
            let store = LocalFileSystem::new_with_prefix(&dir).with_context(|| format!("cannot use {location}"))?;
            return Ok(Self { store: Arc::new(store), prefix: Path::default(), dir: Some(dir) });
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Keys, region and the like come from the environment, as for every tool of S3.
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().with_context(|| format!("cannot use the bucket {bucket}"))?;
        let prefix = Path::parse(prefix.trim_end_matches('/')).context("the prefix cannot be used")?;
        Ok(Self { store: Arc::new(store), prefix, dir: None })
    }

    /// The backups that are here, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<Found>> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await.map_err(told).context("cannot list what is here")?;
        let mut found = Vec::new();
        for place in listed.common_prefixes {
            let Some(name) = place.filename().map(str::to_owned) else { continue };
            let manifest = match self.store.get(&self.path_of(&name, MANIFEST)).await {
                Ok(object) => Some(object.bytes().await.map_err(told).with_context(|| format!("cannot read the manifest of {name}"))?),
                Err(object_store::Error::NotFound { .. }) => None,
                Err(error) => return Err(told(error)).with_context(|| format!("cannot read the manifest of {name}")),
            };
            let manifest = manifest.map(|bytes| Manifest::decode(&bytes)).transpose();
            found.push(Found { manifest: manifest.with_context(|| format!("the manifest of {name}"))?, name });
        }
        found.sort_by(|a, b| age_of(&a.name).cmp(&age_of(&b.name)));
        Ok(found)
    }

    /// A file that is written piece by piece. It is there once it is shut down, and never in part.
    pub(crate) fn writer(&self, name: &str, file: &str) -> BufWriter {
        BufWriter::with_capacity(Arc::clone(&self.store), self.path_of(name, file), PART)
    }

    /// Completes a backup.
    pub(crate) async fn complete(&self, name: &str, manifest: &Manifest) -> Result<()> {
        // What the manifest vouches for must be there even if the power fails the moment it is written.
        self.sync(name).await?;
        let bytes = manifest.encode()?;
        self.store.put(&self.path_of(name, MANIFEST), bytes.into()).await.map_err(told).context("cannot write the manifest")?;
        self.sync(name).await
    }

    /// The content of a file.
    pub(crate) async fn read(&self, name: &str, file: &str) -> Result<BoxStream<'static, object_store::Result<Bytes>>> {
        let object =
            self.store.get(&self.path_of(name, file)).await.map_err(told).with_context(|| format!("cannot read {file} of {name}"))?;
        Ok(object.into_stream())
    }

    /// Removes a backup, complete or not. One that is half removed has no manifest any more.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        let failed = || format!("cannot remove {name}");
        match self.store.delete(&self.path_of(name, MANIFEST)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(told(error)).with_context(failed),
        }
        let files = self.store.list(Some(&self.prefix.clone().join(name))).map_ok(|file| file.location).boxed();
        self.store.delete_stream(files).try_collect::<Vec<_>>().await.map_err(told).with_context(failed)?;
        if let Some(dir) = &self.dir {
            fs::remove_dir_all(dir.join(name)).with_context(failed)?;
        }
        Ok(())
    }

    fn path_of(&self, name: &str, file: &str) -> Path {
        self.prefix.clone().join(name).join(file)
    }

    async fn sync(&self, name: &str) -> Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        let name = name.to_owned();
        let synced = tokio::task::spawn_blocking(move || sync_files(&dir, &name)).await?;
        synced.context("cannot make the backup durable")
    }
}

/// The error for a person. Those of stores say what caused them themselves, so their sources would only say it again.
#[expect(clippy::needless_pass_by_value, reason = "its users map errors with it")]
pub(super) fn told(error: object_store::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

fn sync_files(dir: &FilePath, name: &str) -> std::io::Result<()> {
    let backup = dir.join(name);
    for entry in fs::read_dir(&backup)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(&backup)?.sync_all()?;
    File::open(dir)?.sync_all()
}
