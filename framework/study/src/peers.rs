//! What the conversations of a group have said, for hooks whose forks read the group.
use friction_engine::TapRows;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A finished turn of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The reply's text.
    pub reply: String,
    /// What all taps read.
    pub taps: Vec<TapRows>,
}

#[derive(Debug, Default)]
struct Member {
    /// The last two turns, by number.
    said: BTreeMap<usize, Rc<Told>>,
    ended: bool,
}

/// The conversations of a group, in the order of the design. They share it.
#[derive(Debug, Default)]
pub struct Peers {
    members: Vec<Member>,
}

/// A conversation's place in its group.
#[derive(Debug, Clone)]
pub struct Seat {
    peers: Rc<RefCell<Peers>>,
    at: usize,
}

impl Seat {
    /// The places of a group of so many conversations.
    pub fn all(members: usize) -> Vec<Self> {
        let peers = Peers { members: (0..members).map(|_| Member::default()).collect() };
        let peers = Rc::new(RefCell::new(peers));
        (0..members).map(|at| Self { peers: peers.clone(), at }).collect()
    }

    /// Notes that the conversation has said a turn, which counts from 1.
    pub fn told(&self, turn: usize, told: Told) {
        let said = &mut self.peers.borrow_mut().members[self.at].said;
        // Nobody says a turn before all have read the one before the last.
        said.retain(|t, _| t + 1 >= turn);
        said.insert(turn, Rc::new(told));
    }

    /// Notes that no turn follows.
    pub fn end(&self) {
        self.peers.borrow_mut().members[self.at].ended = true;
    }

    /// Whether every conversation of the group has said the turn or has ended.
    pub fn complete(&self, turn: usize) -> bool {
        self.peers.borrow().members.iter().all(|m| m.ended || m.said.contains_key(&turn))
    }

    /// What the conversation itself said in a turn.
    pub fn own(&self, turn: usize) -> Option<Rc<Told>> {
        self.peers.borrow().members[self.at].said.get(&turn).cloned()
    }

    /// What the others said in a turn, with the index of each. Those that ended before it are left out.
    pub fn others(&self, turn: usize) -> Vec<(usize, Rc<Told>)> {
        let peers = self.peers.borrow();
        let all = peers.members.iter().enumerate().filter(|(at, _)| *at != self.at);
        all.filter_map(|(at, m)| Some((at, m.said.get(&turn)?.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_turn_is_complete_when_all_have_said_it_or_ended() {
        let told = |reply: &str| Told { reply: reply.into(), taps: vec![] };
        let seats = Seat::all(3);
        seats[0].told(1, told("a1"));
        seats[1].told(1, told("b1"));
        assert!(!seats[0].complete(1));
        seats[2].told(1, told("c1"));
        assert!(seats[1].complete(1) && !seats[1].complete(2));
        let others = |seat: usize, turn| {
            let of = seats[seat].others(turn);
            of.into_iter().map(|(at, told)| (at, told.reply.clone())).collect::<Vec<_>>()
        };
        assert_eq!(others(1, 1), [(0, "a1".to_string()), (2, "c1".into())]);
        // One that ended is not waited for, and what it said before is still read.
        seats[1].end();
        seats[0].told(2, told("a2"));
        assert!(!seats[0].complete(2));
        assert_eq!(others(2, 1), [(0, "a1".to_string()), (1, "b1".into())]);
        seats[2].told(2, told("c2"));
        assert!(seats[0].complete(2));
        assert_eq!(others(0, 2), [(2, "c2".to_string())]);
        // Turns that all have read are forgotten.
        seats[0].told(3, told("a3"));
        assert!(seats[0].own(1).is_none() && seats[0].own(2).is_some());
    }
}
