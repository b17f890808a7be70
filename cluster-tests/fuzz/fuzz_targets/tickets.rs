//! TLS session tickets: nodes that share a secret open what one of them has sealed, for as long as it is good, and nothing else.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ncore_serving::fuzzed::Tickets;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// One as somebody made it up.
    Made { secret: u8, now_s: u32, ticket: &'a [u8] },
    /// A good one, shown at another time, to a node with another secret perhaps, with a byte of it changed perhaps, and cut.
    Sealed { secrets: (u8, u8), made_s: u32, shown_s: u32, session: &'a [u8], changed: (u16, u8), cut: u8 },
}

/// How long tickets are sealed with one key.
const EPOCH_S: u64 = 12 * 3_600;

fuzz_target!(|input: Input<'_>| match input {
    Input::Made { secret, now_s, ticket } => {
        assert_eq!(Tickets::of(secret).open(now_s.into(), ticket), None, "nobody sealed it");
    }
    Input::Sealed { secrets, made_s, shown_s, session, changed: (at, by), cut } => {
        let (made_s, shown_s) = (u64::from(made_s), u64::from(shown_s));
        let mut ticket = Tickets::of(secrets.0).seal(made_s, session).expect("sealed");
        let at = usize::from(at) % ticket.len();
        ticket[at] ^= by;
        ticket.truncate(ticket.len() - usize::from(cut).min(ticket.len()));
        let is_good = secrets.0 == secrets.1 && by == 0 && cut == 0 && (made_s / EPOCH_S).abs_diff(shown_s / EPOCH_S) <= 1;
        let opened = Tickets::of(secrets.1).open(shown_s, &ticket);
        assert_eq!(opened.as_deref(), is_good.then_some(session), "made at {made_s}, shown at {shown_s}");
    }
});
