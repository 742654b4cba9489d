//! RSA keys that a broken generator made: whoever has the public key can compute the private one (CVE-2017-15361).

/// Whether a modulus has the pattern of that generator: modulo every small prime it is a power of 65537, since both of its
/// factors were made so. Of sound moduli hardly one in 2^27 has it.
pub(super) fn has_the_pattern(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let remainder = modulus
            .iter()
            .fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % prime);
        is_power(remainder, *prime)
    })
}

/// Whether a number is a power of 65537 modulo a prime.
fn is_power(number: u32, prime: u32) -> bool {
    let generator = 65537 % prime;
    let mut power = 1;
    loop {
        if power == number {
            return true;
        }
        power = power * generator % prime;
        if power == 1 {
            return false;
        }
    }
}

/// The odd primes of the generator's constant for the shortest keys; those for longer ones have them as well.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_told_from_other_numbers() {
        let powers = |prime| (0..prime).filter(|number| is_power(*number, prime)).collect::<Vec<_>>();
        // 65537 is 10 modulo 11, and 2 modulo 17.
        assert_eq!(powers(11), [1, 10]);
        assert_eq!(powers(17), [1, 2, 4, 8, 9, 13, 15, 16]);
    }

    #[test]
    fn a_number_that_is_no_power_modulo_one_prime_has_no_pattern() {
        assert!(has_the_pattern(&[1]));
        assert!(has_the_pattern(&[1, 0, 1]));
        assert!(!has_the_pattern(&[3]));
        assert!(!has_the_pattern(&[]));
    }
}
