//! A partition: one of several parts of what is handled, in parallel with the others.

/// The partition of a key, counted from 0, among `partitions`; the same for ever.
///
/// It is the key's FNV-1a hash of 64 bits (draft-eastlake-fnv), modulo their number.
pub(crate) fn of(key: &str, partitions: u32) -> u32 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = key.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    u32::try_from(hash % u64::from(partitions.max(1))).expect("a remainder is less than what it is divided by")
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_key_is_always_in_the_same_partition() {
        let partitions = ["", "a", "foobar", "account-42", "заказ-7"].map(|key| of(key, 1 << 20));
        assert_eq!(partitions, [0x22325, 0x1ec8c, 0x967e8, 0xa1a85, 0x65323]);
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0u32; 16];
        (0..16_000).for_each(|n| counts[of(&format!("account-{n}"), 16) as usize] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
