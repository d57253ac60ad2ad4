//! `#[derive(Event)]`.

use proc_macro::TokenStream;

/// Makes an enum or a struct an event.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
