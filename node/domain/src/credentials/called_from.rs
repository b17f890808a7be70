//! From where a request comes: what credentials are bound to.

use std::net::IpAddr;

use ncore_model::{Account, IpRange};

/// From where a request comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalledFrom {
    /// The address of the other end of the connection.
    pub address: Option<IpAddr>,
    /// The host of the web site whose page makes the request (`Origin`), unless it is the host that is asked.
    pub site: Option<String>,
}

impl CalledFrom {
    /// Whether it is in one of the ranges, or there are none.
    pub(super) fn is_in(&self, ranges: &[IpRange]) -> bool {
        ranges.is_empty() || self.address.is_some_and(|address| ranges.iter().any(|range| range.contains(address)))
    }

    /// As [`is_in`](Self::is_in), for the ranges of an account.
    pub(super) fn may_use(&self, account: Option<&Account>) -> bool {
        account.is_none_or(|account| self.is_in(&account.ip_ranges))
    }

    /// Whether no page makes the request, or one of these domains or of a host below them, or there are none.
    pub(super) fn is_of(&self, domains: &[String]) -> bool {
        let Some(site) = &self.site else { return true };
        domains.is_empty() || domains.iter().any(|domain| is_below(site, domain.trim_start_matches("*.")))
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::CalledFrom;

    #[test]
    fn sites() {
        let domains = ["shop.test".to_owned(), "*.wild.test".to_owned()];
        let table = [
            ("shop.test", true),
            ("www.SHOP.test", true),
            ("a.wild.test", true),
            ("workshop.test", false),
            ("shop.test.evil", false),
            ("", false),
        ];
        for (site, expected) in table {
            let from = CalledFrom { address: None, site: Some(site.to_owned()) };
            assert_eq!(from.is_of(&domains), expected, "{site}");
            assert!(from.is_of(&[]));
        }
        assert!(CalledFrom::default().is_of(&domains));
    }

    #[test]
    fn addresses() {
        let ranges = ["192.0.2.0/24".parse().expect("a range")];
        let at = |address: &str| CalledFrom { address: Some(address.parse().expect("an address")), site: None };
        assert!(at("192.0.2.9").is_in(&ranges));
        assert!(!at("192.0.3.9").is_in(&ranges));
        assert!(!CalledFrom::default().is_in(&ranges));
        assert!(CalledFrom::default().is_in(&[]));
    }
}
