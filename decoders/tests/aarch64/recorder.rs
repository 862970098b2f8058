//! A visitor that writes down what it is called with.

use ferry_decoders::aarch64::*;
use ferry_decoders::for_each_aarch64_method;

struct Recorder(ExtensionSet);

impl Visit for Recorder {
    type Output = String;

    fn extensions(&self) -> ExtensionSet {
        self.0
    }
}

macro_rules! record {
    ($($chapter:ident { $($method:ident($($arguments:ident)?))* })*) => {
        $(impl $chapter for Recorder {
            $(record! { $method $($arguments)? })*
        })*
    };
    ($method:ident) => {
        fn $method(&self) -> String {
            stringify!($method).into()
        }
    };
    ($method:ident $arguments:ident) => {
        fn $method(&self, args: $arguments) -> String {
            format!(concat!(stringify!($method), " {:?}"), args)
        }
    };
}

for_each_aarch64_method!(record);

/// The call that `word` leads to, on a processor that has everything.
pub(crate) fn decoded(word: u32) -> Option<String> {
    decoded_by(word, ExtensionSet::ALL)
}

/// The call that `word` leads to, on a processor with these extensions.
pub(crate) fn decoded_by(word: u32, extensions: ExtensionSet) -> Option<String> {
    decode(word, &Recorder(extensions))
}
