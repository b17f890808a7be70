//! The public address of an asset.

use std::fmt::Write;

/// The URL at which viewers find the asset at `path`.
pub(crate) fn of_asset(public_url: &str, path: &str) -> String {
    let mut url = format!("{public_url}/assets/");
    for byte in path.bytes() {
        if is_plain(byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// RFC 3986, section 3.3: what a path may have as it is. `;` and `=` are legal too, and escaped, because some software in
/// between gives them a meaning.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::of_asset;

    #[test]
    fn addresses() {
        let cases =
            [("video-bg/my-asset.webm", "video-bg/my-asset.webm"), ("a b/ü?#%.txt", "a%20b/%C3%BC%3F%23%25.txt"), ("x;v=1", "x%3Bv%3D1")];
        for (path, expected) in cases {
            assert_eq!(of_asset("https://cdn.example", path), format!("https://cdn.example/assets/{expected}"));
        }
    }
}
