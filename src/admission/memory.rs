//! The memory for bodies of requests: a bound for all of them together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of bytes that room is counted in.
const UNIT: usize = 1024;

/// Bounds the bytes of the bodies that are held at once. Clones share the bound.
#[derive(Debug, Clone)]
pub struct BodyMemory(Arc<Semaphore>);

/// The bodies in memory leave no room for more: the caller should be told to try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bodies of other requests take all the room that there is; try again in a moment")]
pub struct MemoryFull;

/// The room that the body of one request takes, given back when dropped.
#[derive(Debug)]
pub struct BodyRoom {
    memory: BodyMemory,
    taken: Option<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// Holds at most `bytes` at once.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Returns whether a body of `bytes` would have room now. Nothing is taken.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        bytes.div_ceil(UNIT) <= self.0.available_permits()
    }

    /// Returns a room without any bytes, which grows with what is put into it.
    #[must_use]
    pub fn room(&self) -> BodyRoom {
        BodyRoom { memory: self.clone(), taken: None }
    }
}

impl BodyRoom {
    /// Makes `buffer` ready for `more` bytes, for which there is room then. It grows by doubling where that fits, up to
    /// `most` bytes.
    ///
    /// # Errors
    /// [`MemoryFull`], at once, where there is no room for so many.
    pub fn reserve(&mut self, buffer: &mut Vec<u8>, more: usize, most: usize) -> Result<(), MemoryFull> {
        let needed = buffer.len().saturating_add(more);
        if needed <= buffer.capacity() {
            return Ok(());
        }
        let doubled = buffer.capacity().saturating_mul(2).min(most).max(needed);
        let capacity = match self.grow(doubled) {
            Ok(()) => doubled,
            Err(MemoryFull) => self.grow(needed).map(|()| needed)?,
        };
        buffer.reserve_exact(capacity - buffer.len());
        Ok(())
    }

    /// Gives back what is more than `bytes` need.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.units().saturating_sub(bytes.div_ceil(UNIT));
        // The part that is split off is given back at once.
        self.taken.as_mut().and_then(|taken| taken.split(surplus));
    }

    fn grow(&mut self, bytes: usize) -> Result<(), MemoryFull> {
        let missing = bytes.div_ceil(UNIT).saturating_sub(self.units());
        let missing = u32::try_from(missing).map_err(|_| MemoryFull)?;
        let more = Arc::clone(&self.memory.0).try_acquire_many_owned(missing).map_err(|_| MemoryFull)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }

    fn units(&self) -> usize {
        self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_grows_with_its_buffer_and_gives_back_what_it_does_not_need() {
        let memory = BodyMemory::new(100 * UNIT);
        let (mut room, mut buffer) = (memory.room(), Vec::new());
        for _ in 0..50 {
            room.reserve(&mut buffer, UNIT, 100 * UNIT).unwrap();
            buffer.extend_from_slice(&[7; UNIT]);
        }
        assert!(buffer.capacity() <= 64 * UNIT && !memory.fits(51 * UNIT));
        room.shrink(buffer.len());
        assert!(memory.fits(50 * UNIT) && !memory.fits(50 * UNIT + 1));
        // Doubling would not fit, the bytes themselves do.
        room.reserve(&mut buffer, 50 * UNIT, 1000 * UNIT).unwrap();
        assert_eq!((buffer.capacity(), memory.fits(1)), (100 * UNIT, false));
        assert_eq!(memory.room().reserve(&mut Vec::new(), 1, UNIT), Err(MemoryFull));
        drop(room);
        assert!(memory.fits(100 * UNIT));
    }
}
