//! Splits are fixed by their seed.

use backpropd_datasets::{Dataset, Split, digits};

#[test]
fn a_split_is_fixed_by_its_seed_and_fair_to_every_class() {
    let digits = digits();
    let [one, again, other] =
        [1, 1, 2].map(|seed| Split::new(seed, 0.2).expect("a fraction").parts(&digits));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!((one.train.len(), one.held_out.len()), (1438, 359));
    let labels = digits.labels().expect("classes");
    for class in 0..10 {
        let of_class = one.held_out.iter().filter(|row| labels[**row] == class);
        let count = of_class.count();
        assert!(
            (33..=39).contains(&count),
            "{count} held out of class {class}"
        );
    }
    let mut all: Vec<usize> = one.train.iter().chain(&one.held_out).copied().collect();
    assert!(one.train.is_sorted() && one.held_out.is_sorted());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..1797));
}

#[test]
fn both_parts_of_a_split_hold_something() {
    let dataset = Dataset::with_targets(1, vec![1.0, 2.0], 1, vec![1.0, 2.0]).expect("valid");
    for fraction in [0.01, 0.99] {
        let parts = Split::new(0, fraction).expect("a fraction").parts(&dataset);
        assert_eq!((parts.train.len(), parts.held_out.len()), (1, 1));
    }
    for fraction in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(Split::new(0, fraction).is_err(), "{fraction}");
    }
}
