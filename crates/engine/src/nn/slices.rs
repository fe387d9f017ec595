//! Splits slices piece by piece.

/// Splits the first `count` entries off a slice.
pub fn take<'a, T>(slice: &mut &'a [T], count: usize) -> &'a [T] {
    let (head, tail) = slice.split_at(count);
    *slice = tail;
    head
}

/// Splits the first `count` entries off a slice.
pub fn take_mut<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(slice).split_at_mut(count);
    *slice = tail;
    head
}
