//! Cursors: lists of ordinals, and what is common to them, found by seeking.

use factum::Direction;

/// Ordinals in one direction, found by seeking.
pub(crate) trait Cursor {
    /// Forward, the least ordinal at or above the target; backward, the greatest at or below it.
    ///
    /// Targets never go against the cursor's direction.
    fn seek(&mut self, target: u32) -> Option<u32>;
}

/// Every ordinal below a count.
pub(crate) struct AllCursor {
    pub(crate) count: u32,
    pub(crate) direction: Direction,
}

impl Cursor for AllCursor {
    fn seek(&mut self, target: u32) -> Option<u32> {
        match self.direction {
            Direction::Forward => (target < self.count).then_some(target),
            Direction::Backward => Some(target.min(self.count.checked_sub(1)?)),
        }
    }
}

/// The ordinals of a rising slice.
pub(crate) struct SliceCursor<T> {
    ordinals: T,
    direction: Direction,
}

impl<T: AsRef<[u32]>> SliceCursor<T> {
    pub(crate) fn new(ordinals: T, direction: Direction) -> Self {
        Self { ordinals, direction }
    }
}

impl<T: AsRef<[u32]>> Cursor for SliceCursor<T> {
    fn seek(&mut self, target: u32) -> Option<u32> {
        let ordinals = self.ordinals.as_ref();
        match self.direction {
            Direction::Forward => ordinals.get(ordinals.partition_point(|&ordinal| ordinal < target)).copied(),
            Direction::Backward => {
                let after = ordinals.partition_point(|&ordinal| ordinal <= target);
                after.checked_sub(1).map(|last| ordinals[last])
            }
        }
    }
}

/// What is in all of some lists, the shortest of them first.
pub(crate) struct AllOf<'a>(pub(crate) Vec<Box<dyn Cursor + 'a>>);

impl Cursor for AllOf<'_> {
    fn seek(&mut self, mut target: u32) -> Option<u32> {
        loop {
            let mut agreed = true;
            for cursor in &mut self.0 {
                let found = cursor.seek(target)?;
                if found != target {
                    // The lists before this one have not seen the new target.
                    agreed = false;
                    target = found;
                }
            }
            if agreed {
                return Some(target);
            }
        }
    }
}

/// What is in any of some lists.
pub(crate) struct AnyOf<'a> {
    cursors: Vec<(Box<dyn Cursor + 'a>, Seen)>,
    direction: Direction,
}

/// What a cursor answered last, which spares seeking again.
#[derive(Clone, Copy)]
enum Seen {
    Nothing,
    At(u32),
    End,
}

impl<'a> AnyOf<'a> {
    pub(crate) fn new(cursors: Vec<Box<dyn Cursor + 'a>>, direction: Direction) -> Self {
        Self { cursors: cursors.into_iter().map(|cursor| (cursor, Seen::Nothing)).collect(), direction }
    }
}

impl Cursor for AnyOf<'_> {
    fn seek(&mut self, target: u32) -> Option<u32> {
        let forward = self.direction == Direction::Forward;
        let mut best: Option<u32> = None;
        for (cursor, seen) in &mut self.cursors {
            let found = match *seen {
                Seen::End => continue,
                Seen::At(at) if if forward { target <= at } else { at <= target } => at,
                _ => match cursor.seek(target) {
                    Some(found) => found,
                    None => {
                        *seen = Seen::End;
                        continue;
                    }
                },
            };
            *seen = Seen::At(found);
            best = Some(best.map_or(found, |best| if forward { best.min(found) } else { best.max(found) }));
        }
        best
    }
}

/// The part of a list between two ordinals, both included.
pub(crate) struct Between<'a> {
    pub(crate) cursor: Box<dyn Cursor + 'a>,
    pub(crate) least: u32,
    pub(crate) greatest: u32,
    pub(crate) direction: Direction,
}

impl Cursor for Between<'_> {
    fn seek(&mut self, target: u32) -> Option<u32> {
        let target = match self.direction {
            Direction::Forward => target.max(self.least),
            Direction::Backward => target.min(self.greatest),
        };
        let found = self.cursor.seek(target)?;
        (self.least <= found && found <= self.greatest).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::{AllCursor, AllOf, AnyOf, Cursor, SliceCursor};
    use factum::Direction::{self, Backward, Forward};

    fn list(ordinals: &'static [u32], direction: Direction) -> Box<dyn Cursor> {
        Box::new(SliceCursor::new(ordinals, direction))
    }

    fn drain(mut cursor: impl Cursor, direction: Direction) -> Vec<u32> {
        let mut found = Vec::new();
        let mut target = Some(if direction == Forward { 0 } else { u32::MAX });
        while let Some(at) = target.and_then(|target| cursor.seek(target)) {
            found.push(at);
            target = if direction == Forward { at.checked_add(1) } else { at.checked_sub(1) };
        }
        found
    }

    #[test]
    fn all_of_some_lists_is_what_they_share() {
        for direction in [Forward, Backward] {
            let lists = vec![list(&[1, 4, 6, 9], direction), list(&[0, 1, 2, 4, 9], direction), list(&[4, 5, 9, 12], direction)];
            let mut found = drain(AllOf(lists), direction);
            found.sort_unstable();
            assert_eq!(found, [4, 9]);
        }
    }

    #[test]
    fn any_of_some_lists_is_each_ordinal_once() {
        let lists = |direction| vec![list(&[1, 4], direction), list(&[0, 4, 7], direction), list(&[], direction)];
        assert_eq!(drain(AnyOf::new(lists(Forward), Forward), Forward), [0, 1, 4, 7]);
        assert_eq!(drain(AnyOf::new(lists(Backward), Backward), Backward), [7, 4, 1, 0]);
    }

    #[test]
    fn everything_is_every_ordinal_either_way() {
        assert_eq!(drain(AllCursor { count: 3, direction: Forward }, Forward), [0, 1, 2]);
        assert_eq!(drain(AllCursor { count: 3, direction: Backward }, Backward), [2, 1, 0]);
        assert_eq!(drain(AllCursor { count: 0, direction: Backward }, Backward), [0; 0]);
    }
}
