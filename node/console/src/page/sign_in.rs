//! Where administrators sign in. It needs no script.

use maud::html;

use super::frame::{self, Frame};
use crate::{cluster::SIGN_IN, files::Files};

/// The page, with what is to be said of the last try.
pub(crate) fn render(files: &Files, said: Option<&str>) -> String {
    let body = html! {
        main.sign-in id="main" {
            (frame::brand(files, "NCore cluster", "Sign in"))
            p.lead {
                "For administrators: the figures and the access log of all nodes. The token is the one that "
                code { "ncore administrator add" } " showed. This browser keeps a session in place of it, at this node alone, for eight \
                hours at most, and for fifteen minutes without use."
            }
            form method="post" action=(SIGN_IN) {
                label for="token" { "Token of an administrator" }
                input id="token" name="token" type="password" autocomplete="current-password" spellcheck="false" autocapitalize="none"
                    required aria-describedby=[said.map(|_| "said")] aria-invalid=[said.map(|_| "true")];
                @if let Some(said) = said { p.said-so id="said" role="alert" { (said) } }
                button.primary type="submit" { "Sign in" }
            }
            p.back { a href="/" { "The page of this node" } }
        }
    };
    frame::render(&Frame { files, title: "Sign in", scripts: &[], live: None, key: None }, &body)
}
