//! Ids that the client draws.

/// Draws an id from 128 random bits, such as `c4f0e…`. It is valid as a session id, a model id and a request id.
///
/// A name gives access to a session, so the bits come from the operating system and cannot be guessed.
///
/// # Panics
/// The operating system has no random numbers.
#[must_use]
pub fn random_id() -> String {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the operating system has random numbers");
    // An id starts with a letter.
    format!("c{:032x}", u128::from_le_bytes(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_the_pattern_of_the_server_and_is_new() {
        let id = random_id();
        assert_eq!(id.len(), 33);
        assert!(id.starts_with('c'));
        assert!(
            id.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        );
        assert_ne!(id, random_id());
    }
}
