//! `#[derive(Event)]`: what a type says of itself becomes what `factum` stores and reads.

// What is written.
mod item;
mod set;
mod shape;
mod attributes;
mod stored_name;
mod tag;
mod upcast;
mod mistakes;

// What is made of it.
mod expand;
mod data;
mod decode;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum or a struct an event: names it, writes it, reads it back, old schemas included.
///
/// An enum has a variant for each kind of event; a struct is one kind. The fields are stored under their names, as
/// `serde` writes their types; the item itself needs no `serde` derive. A variant may have named fields, none (its data is
/// `{}`), or one unnamed field, whose own data is then the event's. What is stored has one shape, so the item has no
/// type parameters, lifetimes or constants.
///
/// # On an enum
/// - `#[event(prefix = "Account")]` stands before the name of each variant that has no `name` of its own: `Opened` is
///   stored as `AccountOpened`. Without it, a variant is stored under its own name.
/// - `#[event(codec = MyCodec)]` names the `Codec` that writes and reads the data. Without it: `factum::Json`.
///
/// - `#[event(set)]` alone makes it a set of other events: each variant holds one, `Order(OrderEvent)`, and what is stored is
///   theirs. So a reader of several aggregates' events matches on one enum. No two of them have one stored name.
///
/// # On a variant, or on a struct
/// - `#[event(name = "account-opened")]` is the stored name, whatever the prefix. Names are checked at compile time: no
///   two variants share one, and each has 1 to 256 bytes and no control characters.
/// - `#[event(version = 3)]` is the schema of today's fields, counted from 1. Without it: 1.
/// - `#[event(upcast(1 = WithdrawnV1, 2 = WithdrawnV2))]` names the shape of each older schema, every one from 1 to
///   `version - 1`. See below.
/// - `#[event(codec = MyCodec)]` on a struct, as on an enum.
///
/// # On a field
/// - `#[event(tag)]` puts the tag `field:value` on the event, the value as its `Display` has it. A field that is an
///   `Option` gives a tag where there is a value, a `Vec` one for each; a tag that is there already is not repeated.
///   A value that makes no tag (an empty text, say) is an error where the event is recorded.
/// - `#[event(tag = "person")]` names the tag's key; an unnamed field has to. Several fields may share a key.
/// - `#[serde(…)]` is what `serde` makes of it: `default`, `rename`, `with`, and so on. It belongs to fields: on the item
///   or on a variant it is refused.
///
/// # Old schemas
/// A stored event never changes, so a shape that was ever stored is kept as a type that derives `Deserialize`, and each
/// step turns it into the next: `upcast(1 = V1, 2 = V2)` on version 3 reads schema 1 as `V1`, and goes by
/// `V2: From<V1>` to the event by `From<V2>`. The last step makes the whole event (the enum, not the variant). An old
/// shape is thus written once: the next schema adds a step and leaves those before it alone.
///
/// Fields that are stored but not in the shape are ignored; fields that are missing are an error, unless
/// `#[serde(default)]` says what they are. So a new field with a default needs no new version; a changed or renamed one does.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    if let Err(mistake) = item::not_generic(&input.generics) {
        return mistake.into_compile_error().into();
    }
    let event = input.ident.clone();
    if set::is_set(&input.attrs) {
        return set::event(input).unwrap_or_else(|mistakes| expand::mistaken(&event, &mistakes)).into();
    }
    let item = item::Item::read(input);
    item.map_or_else(|mistakes| expand::mistaken(&event, &mistakes), |item| expand::event(&item)).into()
}
