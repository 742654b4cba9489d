//! Fields of bytes, each with its length in front: the compact binary form of what is sealed.

/// Seven bits a byte, the lowest first, the high bit where more follow (LEB128).
pub(super) fn put_number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0x7f);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// The length, then the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Zeros up to a multiple of `block`, so that the length says little about what is inside.
pub(super) fn pad(out: &mut Vec<u8>, block: usize) {
    out.resize(out.len().next_multiple_of(block), 0);
}

/// Takes off a number of at most 28 bits.
pub(super) fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes off what [`put_bytes`] wrote.
pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_number(rest)?;
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// The same as text.
pub(super) fn take_text(rest: &mut &[u8]) -> Option<String> {
    Some(std::str::from_utf8(take_bytes(rest)?).ok()?.to_owned())
}

/// Whether nothing but padding is left.
pub(super) fn is_padding(rest: &[u8], block: usize) -> bool {
    rest.len() < block && rest.iter().all(|byte| *byte == 0)
}
