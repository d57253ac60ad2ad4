//! `factum trace`

use crate::factum::{Folder, member};

/// An order that leads to a payment, which leads to an invoice and a parcel; and another order.
fn conversation() -> (Folder, [String; 4]) {
    let folder = Folder::new();
    let because =
        |stream, event_type, cause: &str| folder.append(stream, event_type, &["--causation", cause, "--correlation", "talk"]);
    let placed = folder.append("order-1", "Placed", &["--correlation", "talk", "--actor", "ann"]);
    folder.append("order-2", "Placed", &[]);
    let paid = because("order-1", "Paid", &placed);
    let invoiced = because("invoice-1", "Invoiced", &paid);
    because("cart-1", "Emptied", &placed);
    let packed = because("parcel-1", "Packed", &paid);
    because("parcel-1", "Sent", &packed);
    (folder, [placed, paid, invoiced, packed])
}

/// The tree without the times and ids.
fn tree(folder: &Folder, id: &str) -> Vec<String> {
    let tree = folder.ok(&["trace", id, "--format", "table"]);
    tree.lines().map(|line| line.split("  2").next().unwrap().to_owned()).collect()
}

#[test]
fn an_event_is_shown_with_its_causes_and_its_effects() {
    let (folder, [_, paid, invoiced, _]) = conversation();
    #[rustfmt::skip]
    assert_eq!(tree(&folder, &paid), [
        "  Placed  order-1 1",
        "▸ └─ Paid  order-1 2",
        "     ├─ Invoiced  invoice-1 1",
        "     └─ Packed  parcel-1 1",
        "        └─ Sent  parcel-1 2",
    ]);
    #[rustfmt::skip]
    assert_eq!(tree(&folder, &invoiced), [
        "  Placed  order-1 1",
        "  └─ Paid  order-1 2",
        "▸    └─ Invoiced  invoice-1 1",
    ]);
}

#[test]
fn a_correlation_id_is_the_whole_conversation() {
    let (folder, _) = conversation();
    #[rustfmt::skip]
    assert_eq!(tree(&folder, "talk"), [
        "  Placed  order-1 1",
        "  ├─ Paid  order-1 2",
        "  │  ├─ Invoiced  invoice-1 1",
        "  │  └─ Packed  parcel-1 1",
        "  │     └─ Sent  parcel-1 2",
        "  └─ Emptied  cart-1 1",
    ]);
    let events = folder.run(&["trace", "talk"]).values();
    assert_eq!(member(&events, "type"), ["Placed", "Paid", "Invoiced", "Packed", "Sent", "Emptied"]);
}

#[test]
fn a_correlation_id_may_look_like_an_event_id() {
    let folder = Folder::new();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    folder.append("a", "T", &["--correlation", id]);
    assert_eq!(tree(&folder, id), ["  T  a 1"]);
}

#[test]
fn causes_that_lead_in_a_circle_end() {
    let folder = Folder::new();
    let (one, two) = ("01890a5d-ac96-774b-bcce-b302099a8051", "01890a5d-ac96-774b-bcce-b302099a8052");
    folder.append("a", "One", &["--id", one, "--causation", two]);
    folder.append("a", "Two", &["--id", two, "--causation", one]);
    folder.append("a", "Self", &["--id", "01890a5d-ac96-774b-bcce-b302099a8053", "--causation", one]);
    assert_eq!(tree(&folder, one), ["▸ One  a 1", "  ├─ Two  a 2", "  └─ Self  a 3"]);
    assert_eq!(tree(&folder, two), ["  One  a 1", "▸ └─ Two  a 2"]);
}

#[test]
fn a_trace_is_bounded_and_says_so() {
    let (folder, [placed, ..]) = conversation();
    let ended = folder.run(&["trace", &placed, "--limit", "3"]);
    assert!(ended.stderr.contains("raise --limit"), "{ended:?}");
    assert_eq!(ended.values().len(), 3);
}

#[test]
fn an_id_that_nothing_has_is_not_found() {
    let (folder, _) = conversation();
    folder.run(&["trace", "nothing"]).failed(4, &["nothing", "hint: "]);
    folder.run(&["trace", "01890a5d-ac96-774b-bcce-b302099a8057"]).failed(4, &["b302099a8057"]);
}
