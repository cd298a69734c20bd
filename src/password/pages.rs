//! Huge pages, where the system gives them.

use std::mem::MaybeUninit;

/// Asks Linux to back memory that nothing was written to yet with huge pages: Argon2 jumps about in
/// it, and with pages of 4 KiB nearly every jump has to look its page up first.
///
/// Only what lies on whole huge pages is asked for, and a refusal changes nothing: the memory is
/// there either way. Where the allocator gives it back to itself and not to the system, whatever lies
/// there next is in huge pages too.
#[cfg(target_os = "linux")]
pub(super) fn ask_for_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(memory);
    let start = memory.as_mut_ptr().cast::<libc::c_void>();
    let skipped = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
    let whole = bytes.saturating_sub(skipped) / HUGE_PAGE * HUGE_PAGE;
    if whole == 0 {
        return;
    }
    // SAFETY: the range lies within `memory`, for `skipped + whole <= bytes`, and `MADV_HUGEPAGE`
    // changes how it is backed, never what is in it.
    #[expect(unsafe_code, reason = "the one system call that no package offers without it")]
    unsafe {
        libc::madvise(start.wrapping_byte_add(skipped), whole, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ask_for_huge_pages<T>(_: &mut [MaybeUninit<T>]) {}

/// On x86-64, and on AArch64 with pages of 4 KiB. Where they are larger, the kernel rounds.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 * 1024 * 1024;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::{HUGE_PAGE, ask_for_huge_pages};

    #[test]
    fn any_memory_can_be_asked_for_and_stays_as_it_is() {
        for bytes in [0, 1, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE, 10 * HUGE_PAGE + 77] {
            let mut memory: Vec<u8> = Vec::with_capacity(bytes);
            ask_for_huge_pages(memory.spare_capacity_mut());
            memory.resize(bytes, 7);
            ask_for_huge_pages(memory.spare_capacity_mut());
            assert!(memory.iter().all(|byte| *byte == 7), "{bytes}");
        }
    }

    #[test]
    fn memory_that_was_asked_for_is_marked_where_the_kernel_knows_huge_pages() {
        let mut memory: Vec<u8> = Vec::with_capacity(10 * HUGE_PAGE);
        ask_for_huge_pages(memory.spare_capacity_mut());
        let middle = memory.as_ptr().addr() + 5 * HUGE_PAGE;
        let known = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert_eq!(flags_of(middle).contains(" hg"), known);
    }

    /// The flags of the mapping that an address is in.
    fn flags_of(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let is_mapping = |line: &&str| {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            range.is_some_and(|(from, to)| {
                let [from, to] = [from, to].map(|hex| usize::from_str_radix(hex, 16));
                from.is_ok_and(|from| from <= address) && to.is_ok_and(|to| address < to)
            })
        };
        let mut lines = maps.lines().skip_while(|line| !is_mapping(line));
        lines.find(|line| line.starts_with("VmFlags:")).unwrap().to_owned()
    }
}
