//! Random walks through clusters that are too large to be explored completely: the same walks every time.

use std::collections::BTreeSet;

use stateright::{Expectation, Model};

use crate::explore::{Action, Explore};

/// The longest walk, in steps.
const STEPS: usize = 400;

/// One in so many draws of something that ends what goes on is heeded, so that something goes on.
const CALM: usize = 3;

/// Walks until `steps` were made, and gives the names of the properties of which there was an example or a counterexample.
pub(crate) fn walk(model: &Explore, seed: u64, steps: usize) -> BTreeSet<&'static str> {
    let properties = model.properties();
    let mut discovered = BTreeSet::new();
    let mut numbers = Numbers(seed);
    let mut actions = Vec::new();
    let mut made = 0;
    while made < steps {
        let mut state = model.init_states().swap_remove(0);
        for _ in 0..STEPS {
            made += 1;
            actions.clear();
            model.actions(&state, &mut actions);
            if actions.is_empty() {
                break;
            }
            let action = actions.swap_remove(numbers.below(actions.len()));
            if is_disruptive(&action) && numbers.below(CALM) > 0 {
                continue;
            }
            let Some(next) = model.next_state(&state, action) else { continue };
            state = next;
            let example = |expectation: &Expectation, holds: bool| holds == matches!(expectation, Expectation::Sometimes);
            let examples = properties.iter().filter(|property| example(&property.expectation, (property.condition)(model, &state)));
            discovered.extend(examples.map(|property| property.name));
        }
    }
    discovered
}

const fn is_disruptive(action: &Action) -> bool {
    match action {
        Action::Tick | Action::Write | Action::Apply(_) | Action::Restart(_) | Action::Elect(_) | Action::Fail(..) => true,
        Action::Begin(_) | Action::Confirm(..) | Action::Confirmed(..) | Action::Deliver(_) | Action::SendAck(_) => false,
        Action::DeliverAck(_) | Action::Join(..) | Action::Notice(..) => false,
    }
}

/// Numbers without a pattern that matters here (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }
}
