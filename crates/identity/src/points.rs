//! Whether the numbers of a public key are a point of their curve. `ring` finds out only when a signature arrives, and then
//! refuses it like a forged one; a file with such a key has to be refused when it is read.

use num_bigint::BigUint;

/// The prime of P-256, the least significant digit first.
const P256_PRIME: [u32; 8] = [!0, !0, !0, 0, 0, 0, 1, !0];

/// The constant b of P-256: y² = x³ - 3x + b.
const P256_B: [u32; 8] = [
    0x27d2_604b,
    0x3bce_3c3e,
    0xcc53_b0f6,
    0x651d_06b0,
    0x7698_86bc,
    0xb3eb_bd55,
    0xaa3a_93e7,
    0x5ac6_35d8,
];

/// The constant d of Ed25519 is -121665/121666.
const D_ABOVE: u32 = 121_665;
const D_BELOW: u32 = 121_666;

/// Whether x and y, the most significant byte first, are a point of P-256. Every one of them is of full order.
pub fn is_on_p256(x: &[u8], y: &[u8]) -> bool {
    let prime = BigUint::from_slice(&P256_PRIME);
    let [x, y] = [x, y].map(BigUint::from_bytes_be);
    if x >= prime || y >= prime {
        return false;
    }
    let right = &x * &x * &x + BigUint::from_slice(&P256_B);
    (&y * &y + &x * 3_u32) % &prime == right % &prime
}

/// Whether 32 bytes are a point of Ed25519 whose order is not a divisor of 8: anybody can sign for such a point.
pub fn is_on_ed25519(encoded: &[u8]) -> bool {
    let one = BigUint::from(1_u8);
    let prime = (&one << 255_u8) - 19_u8;
    // The last bit is the sign of x.
    let mut y = BigUint::from_bytes_le(encoded);
    y.set_bit(255, false);
    if y >= prime {
        return false;
    }
    let square = &y * &y % &prime;
    // -x² + y² = 1 + dx²y², so that x² is above / below.
    let above = (&square + &prime - &one) * D_BELOW % &prime;
    let below = (&prime * D_ABOVE + D_BELOW - &square * D_ABOVE) % &prime;
    let half = (&prime - &one) >> 1_u8;
    let is_square = (&above * &below).modpow(&half, &prime) == one;
    // Twice a point of order 8 has y = 0, where x² = -y². A point of order 1 or 2 has x = 0, which is no square above.
    let of_order_8 =
        (&square * &square * D_ABOVE + D_BELOW) % &prime == (&square * D_BELOW * 2_u8) % &prime;
    is_square && square != BigUint::ZERO && !of_order_8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = BigUint::parse_bytes(hex.as_bytes(), 16).expect("hexadecimal");
        let mut bytes = digits.to_bytes_be();
        while bytes.len() < hex.len() / 2 {
            bytes.insert(0, 0);
        }
        bytes
    }

    #[test]
    fn the_generators_are_points_and_their_neighbours_are_not() {
        let [x, y] = [
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ]
        .map(bytes);
        assert!(is_on_p256(&x, &y));
        let mut other = y.clone();
        other[31] ^= 1;
        assert!(!is_on_p256(&x, &other));
        assert!(!is_on_p256(&[0; 32], &[0; 32]));
        assert!(!is_on_p256(&[0xff; 32], &y));

        let mut generator = [0x66; 32];
        generator[0] = 0x58;
        assert!(is_on_ed25519(&generator));
        generator[31] |= 0x80;
        assert!(is_on_ed25519(&generator), "the other x");
        // (p + 1) / 2 and its like: half of all numbers are no y.
        let points = (2..=255_u8).filter(|&y| {
            let mut encoded = [0; 32];
            encoded[0] = y;
            is_on_ed25519(&encoded)
        });
        let count = points.count();
        assert!((90..165).contains(&count), "{count}");
    }

    #[test]
    fn a_point_of_small_order_is_refused_in_each_of_its_encodings() {
        for hex in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            // Beyond the prime.
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let mut encoded = bytes(hex);
            assert!(!is_on_ed25519(&encoded), "{hex}");
            encoded[31] |= 0x80;
            assert!(!is_on_ed25519(&encoded), "{hex}");
        }
    }
}
