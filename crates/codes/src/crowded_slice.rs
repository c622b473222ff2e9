//! Completes the draw of a crowded slice: reads its codes page by page and chooses among the free and allowed ranks,
//! with equal probability.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::allowed_draw::AllowedDraw;
use crate::draw::Draw;
use crate::free_ranks::FreeRanks;
use crate::keyspace::Keyspace;
use crate::slice::Slice;

/// A slice of one window is read once. A longer one is read twice: first to count the free ranks of each window, then
/// to draw from each window the codes that were allotted to it by these counts.
#[derive(Debug)]
pub(crate) struct CrowdedSlice {
    keyspace: Arc<Keyspace>,
    windows: Vec<Slice>,
    /// Numbers of free ranks of the windows, as far as they are counted.
    free_counts: Vec<u64>,
    /// The windows that are still to be read, the current one first, each with its purpose.
    visits: VecDeque<(Slice, Purpose)>,
    /// The page to read next.
    page: Slice,
    /// The ranks of the current window without those that turned out to be taken.
    free: FreeRanks,
}

#[derive(Clone, Copy, Debug)]
enum Purpose {
    Count,
    Draw(usize),
}

impl CrowdedSlice {
    pub fn new(source: &AllowedDraw) -> Self {
        Self::in_windows(source, FreeRanks::RANKS_MAX)
    }

    fn in_windows(source: &AllowedDraw, window_ranks: u128) -> Self {
        let (draw, keyspace) = (&source.draw, Arc::clone(&source.keyspace));
        let windows: Vec<Slice> = draw.slice().pieces(window_ranks).collect();
        let purpose = if windows.len() == 1 { Purpose::Draw(draw.missing()) } else { Purpose::Count };
        let visits = windows.iter().map(|&window| (window, purpose)).collect();
        let nothing = Slice { start: 0, length: 0 };
        let mut slice =
            Self { keyspace, windows, free_counts: Vec::new(), visits, page: nothing, free: FreeRanks::new(nothing) };
        slice.begin_window();
        slice
    }

    pub fn keyspace(&self) -> &Arc<Keyspace> {
        &self.keyspace
    }

    pub fn page(&self) -> Slice {
        self.page
    }

    /// Returns true if all is read and the draw is complete.
    pub fn is_read(&self) -> bool {
        self.visits.is_empty()
    }

    /// Takes the codes of the current page, one per line.
    pub fn take_page(&mut self, codes: &str, source: &mut AllowedDraw) {
        source.take_page(codes, self.page, &mut self.free);
        let Some(&(window, purpose)) = self.visits.front() else { return };
        match page_of(window, self.page.start + self.page.length) {
            Some(next) => self.page = next,
            None => self.end_window(purpose, &mut source.draw),
        }
    }

    fn begin_window(&mut self) {
        if let Some(&(window, _)) = self.visits.front() {
            self.free = FreeRanks::new(window);
            self.page = page_of(window, window.start).unwrap_or(window);
        }
    }

    fn end_window(&mut self, purpose: Purpose, draw: &mut Draw) {
        let nothing = FreeRanks::new(Slice { start: 0, length: 0 });
        let mut free = std::mem::replace(&mut self.free, nothing);
        match purpose {
            Purpose::Count => {
                draw.take_tried(&mut free);
                self.free_counts.push(free.len());
            }
            Purpose::Draw(wanted) => drop(draw.draw_from(free, wanted)),
        }
        self.visits.pop_front();
        if self.visits.is_empty() && matches!(purpose, Purpose::Count) {
            self.allot(draw);
        }
        self.begin_window();
    }

    fn allot(&mut self, draw: &mut Draw) {
        let allotted = self.windows.iter().zip(draw.allot(&self.free_counts)).filter(|(_, wanted)| *wanted > 0);
        self.visits = allotted.map(|(&window, wanted)| (window, Purpose::Draw(wanted))).collect();
    }
}

/// Returns the page of a window that begins at this rank; `None` at the window's end.
fn page_of(window: Slice, start: u128) -> Option<Slice> {
    let end = window.start + window.length;
    (start < end).then(|| Slice { start, length: FreeRanks::PAGE_RANKS.min(end - start) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::CrowdedSlice;
    use crate::allowed_draw::AllowedDraw;
    use crate::batch::CodeBatch;
    use crate::draw::Draw;
    use crate::job::record::Rejections;
    use crate::keyspace::{Keyspace, Rank};
    use crate::random::{Key, Stream};
    use crate::rules::Rules;
    use crate::slice::Slice;

    /// Fills a slice of 1000 ranks in windows, of which only multiples of 9 are free, and returns what it drew and the
    /// pages that it asked for.
    fn fill(window_ranks: u128, quota: usize) -> (Vec<Rank>, Vec<Slice>) {
        let keyspace = Arc::new(Keyspace::new(&"####".parse().expect("a mask")));
        let draw = Draw::new(&Key::new([3; 32]), Stream::chunk(0, 0), Slice { start: 4000, length: 1000 }, quota);
        let mut rejections = Rejections::default();
        let (mut source, codes) =
            AllowedDraw::new(keyspace, Rules::default(), draw, CodeBatch::default(), &mut rejections);
        let is_taken = |rank: Rank| !rank.is_multiple_of(9);
        let taken: Vec<String> =
            codes.iter().filter(|code| is_taken(code.parse().expect("a number"))).map(str::to_owned).collect();
        source.reject(&taken);
        let mut slice = CrowdedSlice::in_windows(&source, window_ranks);
        let mut pages = Vec::new();
        while !slice.is_read() {
            let page = slice.page();
            let ranks = (page.start..page.start + page.length).filter(|&rank| is_taken(rank));
            slice.take_page(&ranks.map(|rank| format!("{rank}\n")).collect::<String>(), &mut source);
            pages.push(page);
        }
        (source.draw.ranks().to_vec(), pages)
    }

    #[test]
    fn a_slice_of_one_window_is_read_once() {
        let (ranks, pages) = fill(1000, 20);
        assert_eq!(pages, [Slice { start: 4000, length: 1000 }]);
        assert!(ranks.len() == 20 && ranks.iter().all(|rank| rank.is_multiple_of(9)), "{ranks:?}");
    }

    #[test]
    fn a_slice_of_several_windows_is_counted_before_it_is_drawn_from() {
        let (ranks, pages) = fill(300, 100);
        let starts: Vec<Rank> = pages.iter().map(|page| page.start).collect();
        assert_eq!(starts, [4000, 4300, 4600, 4900, 4000, 4300, 4600, 4900]);
        assert!(ranks.len() == 100 && ranks.iter().all(|rank| rank.is_multiple_of(9)), "{ranks:?}");
    }

    #[test]
    fn windows_that_no_code_is_allotted_to_are_not_read_again() {
        let (ranks, pages) = fill(10, 1);
        assert_eq!(
            (ranks.len(), pages.len()),
            (1, 101),
            "each of the hundred windows, and the one that gives the code"
        );
    }

    #[test]
    fn a_slice_of_several_windows_gives_all_that_is_free_if_that_is_too_little() {
        let (ranks, _) = fill(300, 500);
        let free: Vec<Rank> = (4000..5000).filter(|&rank: &Rank| rank.is_multiple_of(9)).collect();
        assert_eq!(ranks, free);
    }
}
