//! Memory of transformed bootstrapping keys, in huge pages where the system has them.
//!
//! A blind rotation reads the whole key once, some 70 MB. In pages of 4 KiB its addresses take more
//! entries than the processor's translation buffers have, and prefetching stops at each page's end.

use super::transform::{Values, zeros};
use memmap2::MmapMut;
use pulp::bytemuck;
use std::ops::{Deref, DerefMut};
use tfhe_fft::c64;

/// Complex values, aligned to cache lines at least.
pub(super) enum Pages {
    /// Pages of their own. They go back to the system with the key.
    Mapped(MmapMut),
    /// Memory of the allocator, where the system gives no pages.
    Heap(Values),
}

impl Pages {
    /// Returns `len` zeros.
    pub(super) fn zeroed(len: usize) -> Self {
        match MmapMut::map_anon(len * size_of::<c64>()) {
            Ok(map) => {
                // A system without huge pages refuses, and its small ones serve as well, if slower.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
                Self::Mapped(map)
            }
            Err(_) => Self::Heap(zeros(len)),
        }
    }
}

impl Deref for Pages {
    type Target = [c64];

    fn deref(&self) -> &[c64] {
        match self {
            Self::Mapped(map) => bytemuck::cast_slice(map),
            Self::Heap(values) => values,
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [c64] {
        match self {
            Self::Mapped(map) => bytemuck::cast_slice_mut(map),
            Self::Heap(values) => values,
        }
    }
}
