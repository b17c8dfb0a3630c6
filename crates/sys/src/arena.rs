//! A heap for programs that live for milliseconds: allocations are laid one behind the other in one region that is never given
//! back. What musl's own allocator does instead is a `mmap` and a `munmap` for every few pages: with a seccomp profile in the
//! config 130 calls and 50 page faults of each start.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Smaller than a huge page: with transparent huge pages the first touch of a larger region would clear 2 MiB.
const REGION: usize = 1 << 20;
/// What is larger comes from the system and goes back to it.
const LARGE: usize = REGION / 4;

/// For `#[global_allocator]`. Freeing gives memory back only in reverse order of allocation, which is what loops do; when the
/// region is full, everything comes from the system's allocator.
#[derive(Debug)]
pub struct Arena {
    /// Null until the first allocation. The region stays until the process ends.
    base: AtomicPtr<u8>,
    used: AtomicUsize,
}

impl Arena {
    pub const fn new() -> Self {
        Self { base: AtomicPtr::new(std::ptr::null_mut()), used: AtomicUsize::new(0) }
    }

    /// The region, made at the first call. Null when the system has none.
    fn base(&self) -> *mut u8 {
        let base = self.base.load(Ordering::Acquire);
        if !base.is_null() {
            return base;
        }
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
        let made = unsafe { libc::mmap(std::ptr::null_mut(), REGION, protection, flags, -1, 0) };
        if made == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        match self.base.compare_exchange(base, made.cast(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made.cast(),
            Err(others) => {
                // SAFETY: this thread made the mapping and nobody else knows it: another thread's was taken.
                unsafe { libc::munmap(made, REGION) };
                others
            }
        }
    }

    /// Where in the region `pointer` lies.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        let base = self.base.load(Ordering::Acquire);
        let offset = (pointer as usize).wrapping_sub(base as usize);
        (!base.is_null() && offset < REGION).then_some(offset)
    }

    /// Moves the end of the used part from `old` to `new`, if `old` is still its end.
    fn shift(&self, old: usize, new: usize) -> bool {
        new <= REGION && self.used.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn place(&self, layout: Layout) -> Option<*mut u8> {
        let base = self.base();
        if base.is_null() || layout.size() >= LARGE || layout.align() > 4096 {
            return None;
        }
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            // The region itself begins at a page.
            let start = used.next_multiple_of(layout.align());
            let end = start.checked_add(layout.size()).filter(|end| *end <= REGION)?;
            match self.used.compare_exchange_weak(used, end, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: start <= end <= REGION, so the result is inside the region or one past its end.
                Ok(_) => return Some(unsafe { base.add(start) }),
                Err(now) => used = now,
            }
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a block of the region is handed out by the one thread whose exchange moved `used` over it, aligned as asked, and is
// handed out again only after `used` was moved back below it, which only freeing or shrinking that very block does. Everything else is
// the system allocator's, told apart by address.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise for `layout` is passed on.
        self.place(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.offset(pointer) {
            // Only the last block goes back; the others wait for the end of the process.
            Some(start) => {
                self.shift(start + layout.size(), start);
            }
            // SAFETY: not in the region, so it came from the system with this layout.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(pointer) else {
            // SAFETY: not in the region, so it came from the system with this layout.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        if size <= layout.size() || self.shift(start + layout.size(), start + size) {
            return pointer;
        }
        // SAFETY: the caller promises that `size` rounded up to the alignment does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not zero, by the caller's promise.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks are live and distinct, and the old one is the smaller.
            unsafe { std::ptr::copy_nonoverlapping(pointer, moved, layout.size()) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_the_last_one_is_reused() {
        let arena = Arena::new();
        // SAFETY: every block is used within its layout and freed with it.
        unsafe {
            let a = arena.alloc(layout(3, 1));
            let b = arena.alloc(layout(64, 64));
            assert_eq!(b as usize % 64, 0);
            assert!(b as usize - a as usize >= 3);
            arena.dealloc(b, layout(64, 64));
            assert_eq!(arena.alloc(layout(8, 64)), b);
            assert_eq!(arena.realloc(b, layout(8, 64), 4000), b);
            a.write_bytes(7, 3);
            let moved = arena.realloc(a, layout(3, 1), 100);
            assert_ne!(moved, a);
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7, 7, 7]);
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_system() {
        let arena = Arena::new();
        // SAFETY: every block is used within its layout and freed with it.
        unsafe {
            let large = arena.alloc(layout(LARGE, 16));
            assert!(!large.is_null() && arena.offset(large).is_none());
            arena.dealloc(large, layout(LARGE, 16));
            let blocks: Vec<*mut u8> = (0..300).map(|_| arena.alloc(layout(8192, 8))).collect();
            assert!(blocks.iter().all(|block| !block.is_null()));
            assert!(arena.offset(blocks[0]).is_some() && arena.offset(blocks[299]).is_none());
            for block in blocks {
                block.write_bytes(1, 8192);
                arena.dealloc(block, layout(8192, 8));
            }
        }
    }

    #[test]
    fn threads_get_blocks_of_their_own() {
        static ARENA: Arena = Arena::new();
        let threads: Vec<_> = (0..4_u8)
            .map(|number| {
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        // SAFETY: the block is used within its layout and freed with it.
                        unsafe {
                            let block = ARENA.alloc(layout(24, 8));
                            block.write_bytes(number, 24);
                            std::thread::yield_now();
                            assert!(std::slice::from_raw_parts(block, 24).iter().all(|byte| *byte == number));
                            ARENA.dealloc(block, layout(24, 8));
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a thread that did not fail");
        }
    }
}
