//! The pixels of batches, in memory that is used again and again.
//!
//! A batch of eight images of 800 × 1333 takes 100 MB. Taking that from the system anew for every batch, and
//! giving it back, costs more than decoding the images: each page is cleared first.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Most blocks that wait for their next use.
const MAX_WAITING: usize = 16;

/// Where the memory of dropped [`Pixels`] waits for the next batch.
#[derive(Debug, Clone, Default)]
pub struct PixelPool {
    waiting: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl PixelPool {
    /// A block of `len` values; what they are is left over from earlier use.
    pub fn take(&self, len: usize) -> Pixels {
        let used = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut values = used.unwrap_or_default();
        if values.capacity() < len {
            // Nothing of the old block is needed: a copy to a larger one would be wasted.
            values = vec![0.0; len];
        }
        values.resize(len, 0.0);
        Pixels { values, home: Some(self.clone()) }
    }
}

/// A block of values that goes back to its pool when it is dropped. Behaves like a slice.
#[derive(Debug)]
pub struct Pixels {
    values: Vec<f32>,
    home: Option<PixelPool>,
}

impl Pixels {
    /// The values for writing.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Deref for Pixels {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl From<Vec<f32>> for Pixels {
    fn from(values: Vec<f32>) -> Self {
        Self { values, home: None }
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Self {
        self.values.clone().into()
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut waiting = home.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < MAX_WAITING {
                waiting.push(std::mem::take(&mut self.values));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_goes_out_again() {
        let pool = PixelPool::default();
        let mut first = pool.take(1000);
        first.as_mut_slice()[7] = 5.0;
        let (place, copy) = (first.as_ptr(), first.clone());
        drop(first);
        let second = pool.take(500);
        assert_eq!((second.as_ptr(), second.len(), second[7]), (place, 500, 5.0));
        assert_eq!(copy.len(), 1000, "a copy has its own memory");
        drop(copy);
        assert_eq!(pool.waiting.lock().unwrap().len(), 0, "and keeps it to itself");
        assert_eq!(pool.take(2000).len(), 2000);
    }
}
