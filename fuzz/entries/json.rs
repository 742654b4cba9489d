//! JSON. What is read strictly is read alike by a lenient parser, and an edit of an object's text can be taken back to the byte.
//!
//! Input: a document.

use serde_json::Value;
use tollgate::{
    json,
    token::{splice, undo},
};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(read) = json::parse(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("strict JSON is UTF-8");
    // serde_json makes something of its own names; nobody else does.
    if text.contains("::private::") {
        return;
    }
    let lenient: Value = serde_json::from_str(text).expect("a lenient parser takes it as well");
    assert_eq!(read, lenient);
    let written = read.to_string();
    assert_eq!(json::parse(written.as_bytes()).as_ref(), Ok(&read), "{written}");
    if read.is_object() {
        is_spliced_and_undone(text);
    }
}

fn is_spliced_and_undone(text: &str) {
    let edits = [("sub", Value::from("s")), ("new", Value::from(7)), ("é", Value::Null)];
    let spliced = splice(text, edits).expect("a strict object can be edited");
    assert_eq!(undo(&spliced.text, &spliced.inverse).as_deref(), Ok(text));
    let edited = json::parse(spliced.text.as_bytes()).expect("an edited object is as strict");
    assert_eq!(edited.get("new"), Some(&Value::from(7)));
}
