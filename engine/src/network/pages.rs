//! Memory of transformed bootstrapping keys, in huge pages where the system has them.
//!
//! A batch of blind rotations reads the whole key, 52 to 73 MB: more pages of 4 KiB than a TLB
//! holds.

use super::transform::{Values, zeros};
use memmap2::MmapMut;
use pulp::bytemuck;
use std::ops::{Deref, DerefMut};
use tfhe_fft::c64;

/// Bytes of a huge page on x86-64. Recent versions of Linux align mappings whose length is a
/// multiple of it.
const HUGE: usize = 2 << 20;

/// Complex values, aligned to cache lines at least.
pub(super) struct Pages {
    memory: Memory,
    len: usize,
}

enum Memory {
    /// Pages of their own. They go back to the system with the key.
    Mapped(MmapMut),
    /// From the allocator, if the system can't map any.
    Heap(Values),
}

impl Pages {
    /// Returns `len` zeros.
    pub(super) fn zeroed(len: usize) -> Self {
        let memory = match MmapMut::map_anon(Self::bytes(len)) {
            Ok(map) => {
                // Only a hint: with small pages, keys work as well, but more slowly.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
                Memory::Mapped(map)
            }
            Err(_) => Memory::Heap(zeros(len)),
        };
        Self { memory, len }
    }

    /// Returns how many bytes `len` values take.
    pub(super) const fn bytes(len: usize) -> usize {
        (len * size_of::<c64>()).next_multiple_of(HUGE)
    }
}

impl Deref for Pages {
    type Target = [c64];

    fn deref(&self) -> &[c64] {
        match &self.memory {
            Memory::Mapped(map) => &bytemuck::cast_slice(map)[..self.len],
            Memory::Heap(values) => values,
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [c64] {
        match &mut self.memory {
            Memory::Mapped(map) => &mut bytemuck::cast_slice_mut(map)[..self.len],
            Memory::Heap(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_in_pages_and_on_the_heap() {
        for len in [1, 1_000, HUGE / size_of::<c64>(), 200_001] {
            let heap = Pages {
                memory: Memory::Heap(zeros(len)),
                len,
            };
            for mut pages in [Pages::zeroed(len), heap] {
                assert_eq!(pages.len(), len);
                assert!(pages.iter().all(|value| *value == c64::default()));
                for (place, value) in pages.iter_mut().enumerate() {
                    *value = c64::new(place as f64, 1.0);
                }
                let mut kept = pages.iter().enumerate();
                assert!(kept.all(|(place, value)| *value == c64::new(place as f64, 1.0)));
            }
        }
    }
}
