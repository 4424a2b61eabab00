//! A hierarchical timer wheel: starting, stopping and firing are O(1).

use std::time::Duration;

use crate::Tick;

/// Width of the finest slot: timers fire at most this much after their time, never before.
const GRAIN_MICROS: u64 = 1 << GRAIN_BITS;
const GRAIN_BITS: u32 = 10;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
const NONE: u32 = u32::MAX;

/// Names a started timer. A key of a timer that fired or was stopped names nothing for ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Node<T> {
    generation: u32,
    /// In which list: level * SLOTS + slot, or the list of those due.
    list: u32,
    previous: u32,
    next: u32,
    grain: u64,
    event: Option<T>,
}

/// Timers that carry a `T` each.
///
/// [`pop`](Self::pop) returns what is due, earliest grain first; within a grain the order is fixed, but not that of starting.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    heads: Box<[u32]>,
    tails: Box<[u32]>,
    /// One bit a slot that holds something, per level.
    occupied: [u64; LEVELS],
    /// The grain up to which (inclusive) everything has been moved to the due list.
    grain: u64,
    live: usize,
}

/// The list, behind all slots, of timers whose time has come.
const DUE: u32 = (LEVELS * SLOTS) as u32;

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Wheel<T> {
    /// A wheel without timers, at [`Tick::ZERO`].
    pub(crate) fn new() -> Self {
        let lists = LEVELS * SLOTS + 1;
        Self {
            nodes: Vec::new(),
            free: NONE,
            heads: vec![NONE; lists].into_boxed_slice(),
            tails: vec![NONE; lists].into_boxed_slice(),
            occupied: [0; LEVELS],
            grain: 0,
            live: 0,
        }
    }

    /// How many timers run.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Starts a timer that is due `after` from `now`.
    pub(crate) fn start(&mut self, now: Tick, after: Duration, event: T) -> TimerKey {
        self.start_at(now + after, event)
    }

    /// Starts a timer that is due at `at`.
    pub(crate) fn start_at(&mut self, at: Tick, event: T) -> TimerKey {
        // Rounded up, so that none fires before its time.
        let grain = at.as_micros().saturating_add(GRAIN_MICROS - 1) >> GRAIN_BITS;
        let index = self.allocate(grain, event);
        self.place(index);
        self.live += 1;
        let generation = self.nodes.get(index as usize).map_or(0, |node| node.generation);
        TimerKey { index, generation }
    }

    /// Stops a timer and returns what it carried; `None` if it fired or was stopped before.
    pub(crate) fn stop(&mut self, key: TimerKey) -> Option<T> {
        let node = self.nodes.get(key.index as usize)?;
        if node.generation != key.generation || node.event.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.release(key.index)
    }

    /// Stops the timer that `key` holds, if any, and empties it.
    pub(crate) fn stop_taken(&mut self, key: &mut Option<TimerKey>) {
        if let Some(key) = key.take() {
            drop(self.stop(key));
        }
    }

    /// The next timer that is due at `now`; `None` when there is none.
    pub(crate) fn pop(&mut self, now: Tick) -> Option<T> {
        let target = now.as_micros() >> GRAIN_BITS;
        loop {
            let head = *self.heads.get(DUE as usize)?;
            if head != NONE {
                self.unlink(head);
                return self.release(head);
            }
            let next = self.next_grain()?;
            if next > target {
                // Nothing lies between, so the hand may jump without visiting slots.
                self.grain = self.grain.max(target);
                return None;
            }
            self.advance(next);
        }
    }

    /// The time at which [`pop`](Self::pop) should be asked again: never after the next timer's, at times before it.
    pub(crate) fn next(&self) -> Option<Tick> {
        if self.heads.get(DUE as usize).is_some_and(|head| *head != NONE) {
            return Some(Tick::from_micros(self.grain << GRAIN_BITS));
        }
        self.next_grain().map(|grain| Tick::from_micros(grain << GRAIN_BITS))
    }

    /// The earliest grain at which a slot has to be emptied or spread over the level below.
    fn next_grain(&self) -> Option<u64> {
        let mut earliest: Option<u64> = None;
        for level in 0..LEVELS {
            let Some(bits) = self.occupied.get(level).copied().filter(|bits| *bits != 0) else { continue };
            let shift = SLOT_BITS * level as u32;
            let hand = self.grain >> shift;
            let slot = (hand & (SLOTS as u64 - 1)) as u32;
            // The hand's own slot holds only what is a whole turn away (the outermost level's overflow).
            let ahead = u64::from(bits.rotate_right((slot + 1) & 63).trailing_zeros()) + 1;
            let grain = (hand + ahead) << shift;
            earliest = Some(earliest.map_or(grain, |e| e.min(grain)));
        }
        earliest
    }

    /// Moves the hand to `grain`, which [`next_grain`](Self::next_grain) named.
    fn advance(&mut self, grain: u64) {
        self.grain = grain;
        for level in (0..LEVELS).rev() {
            let shift = SLOT_BITS * level as u32;
            if grain & ((1u64 << shift) - 1) != 0 {
                continue;
            }
            let slot = ((grain >> shift) & (SLOTS as u64 - 1)) as usize;
            self.empty((level * SLOTS + slot) as u32);
        }
    }

    /// Places every timer of a list anew: on a finer level, or among the due.
    fn empty(&mut self, list: u32) {
        let Some(head) = self.heads.get_mut(list as usize) else { return };
        let mut at = std::mem::replace(head, NONE);
        if let Some(tail) = self.tails.get_mut(list as usize) {
            *tail = NONE;
        }
        self.mark(list, false);
        while at != NONE {
            let next = self.nodes.get(at as usize).map_or(NONE, |node| node.next);
            self.place(at);
            at = next;
        }
    }

    fn place(&mut self, index: u32) {
        let Some(grain) = self.nodes.get(index as usize).map(|node| node.grain) else { return };
        let list = self.list_for(grain);
        self.append(list, index);
    }

    fn list_for(&self, grain: u64) -> u32 {
        if grain <= self.grain {
            return DUE;
        }
        let mut level = 0;
        while level < LEVELS - 1 {
            let shift = SLOT_BITS * level as u32;
            if (grain >> shift) - (self.grain >> shift) < SLOTS as u64 {
                break;
            }
            level += 1;
        }
        let shift = SLOT_BITS * level as u32;
        // Beyond the outermost turn a timer waits in the last slot that comes round and is placed again there.
        let position = (grain >> shift).min((self.grain >> shift) + SLOTS as u64);
        (level * SLOTS) as u32 + (position & (SLOTS as u64 - 1)) as u32
    }

    fn append(&mut self, list: u32, index: u32) {
        let (Some(head), Some(tail)) = (self.heads.get_mut(list as usize), self.tails.get_mut(list as usize))
        else {
            return;
        };
        let last = std::mem::replace(tail, index);
        if last == NONE {
            *head = index;
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.list = list;
            node.previous = last;
            node.next = NONE;
        }
        if let Some(node) = self.nodes.get_mut(last as usize) {
            node.next = index;
        }
        self.mark(list, true);
    }

    fn unlink(&mut self, index: u32) {
        let Some((list, previous, next)) =
            self.nodes.get(index as usize).map(|node| (node.list, node.previous, node.next))
        else {
            return;
        };
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => {
                if let Some(head) = self.heads.get_mut(list as usize) {
                    *head = next;
                }
            }
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.previous = previous,
            None => {
                if let Some(tail) = self.tails.get_mut(list as usize) {
                    *tail = previous;
                }
            }
        }
        if previous == NONE && next == NONE {
            self.mark(list, false);
        }
    }

    fn mark(&mut self, list: u32, holds: bool) {
        let (level, slot) = (list as usize / SLOTS, list as usize % SLOTS);
        if let Some(bits) = self.occupied.get_mut(level) {
            if holds { *bits |= 1 << slot } else { *bits &= !(1 << slot) }
        }
    }

    fn allocate(&mut self, grain: u64, event: T) -> u32 {
        if let Some(node) = self.nodes.get_mut(self.free as usize) {
            let index = self.free;
            self.free = node.next;
            node.grain = grain;
            node.event = Some(event);
            return index;
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node {
            generation: 0,
            list: NONE,
            previous: NONE,
            next: NONE,
            grain,
            event: Some(event),
        });
        index
    }

    fn release(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let node = self.nodes.get_mut(index as usize)?;
        node.generation = node.generation.wrapping_add(1);
        node.next = free;
        self.free = index;
        self.live -= 1;
        node.event.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(n: u64) -> Tick {
        Tick::from_micros(n)
    }

    #[test]
    fn a_timer_fires_at_its_time_and_not_before() {
        let mut wheel = Wheel::new();
        wheel.start_at(micros(500_000), 'a');
        assert_eq!(wheel.pop(micros(499_999)), None);
        let at = wheel.next().expect("one runs");
        assert!(at <= micros(500_000 + GRAIN_MICROS));
        assert_eq!(wheel.pop(micros(500_000 + GRAIN_MICROS)), Some('a'));
        assert_eq!(wheel.next(), None);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn a_stopped_timer_never_fires_and_its_key_stops_no_other() {
        let mut wheel = Wheel::new();
        let first = wheel.start_at(micros(1_000), 1);
        assert_eq!(wheel.stop(first), Some(1));
        wheel.start_at(micros(1_000), 2);
        assert_eq!(wheel.stop(first), None);
        assert_eq!(wheel.pop(micros(10_000)), Some(2));
    }

    #[test]
    fn a_wait_beyond_the_outermost_turn_still_ends_at_its_time() {
        let mut wheel = Wheel::new();
        let year = 400 * 365 * 86_400 * 1_000_000;
        wheel.start_at(micros(year), ());
        assert_eq!(wheel.pop(micros(year - 1)), None);
        assert_eq!(wheel.pop(micros(year + GRAIN_MICROS)), Some(()));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Start(u64),
        Stop(usize),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..200_000_000).prop_map(Step::Start),
            (0u64..100_000).prop_map(Step::Start),
            (0usize..40).prop_map(Step::Stop),
            (0u64..90_000_000).prop_map(Step::Pass),
            (0u64..5_000).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_sorted_list(steps in prop::collection::vec(step(), 1..120)) {
            let mut wheel = Wheel::new();
            let mut model: Vec<(u64, usize)> = Vec::new();
            let mut keys = Vec::new();
            let mut now = 0u64;
            let mut late = false;
            for step in steps {
                match step {
                    Step::Start(after) => {
                        let id = keys.len();
                        late |= (now + after).div_ceil(GRAIN_MICROS) <= now / GRAIN_MICROS;
                        keys.push(wheel.start_at(micros(now + after), id));
                        model.push(((now + after).div_ceil(GRAIN_MICROS), id));
                    }
                    Step::Stop(id) => if let Some(key) = keys.get(id) {
                        let there = model.iter().any(|(_, m)| *m == id);
                        prop_assert_eq!(wheel.stop(*key).is_some(), there);
                        model.retain(|(_, m)| *m != id);
                    }
                    Step::Pass(time) => {
                        now += time;
                        let mut fired = Vec::new();
                        while let Some(id) = wheel.pop(micros(now)) { fired.push(id); }
                        let mut due: Vec<_> = model.iter().copied().filter(|(g, _)| *g <= now / GRAIN_MICROS).collect();
                        due.sort();
                        model.retain(|(g, _)| *g > now / GRAIN_MICROS);
                        let grain = |id: &usize| due.iter().find(|(_, other)| other == id).map(|(grain, _)| *grain);
                        let order: Vec<_> = fired.iter().map(grain).collect();
                        // Those that were due when they were started fire behind what was due already.
                        prop_assert!(order.is_sorted() || late, "{order:?}");
                        let mut all: Vec<usize> = due.iter().map(|(_, id)| *id).collect();
                        fired.sort_unstable();
                        all.sort_unstable();
                        prop_assert_eq!(fired, all);
                        late = false;
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                if let Some(first) = model.iter().map(|(g, _)| *g).min() {
                    prop_assert!(wheel.next().unwrap() <= micros(first * GRAIN_MICROS).max(micros(now)));
                } else {
                    prop_assert_eq!(wheel.next(), None);
                }
            }
        }
    }
}
