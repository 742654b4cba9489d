//! `tollgate keys`.

use std::fs;

use super::Place;

#[test]
fn keys_init_never_overwrites() {
    let place = Place::empty();
    let said = place.say(&["keys", "init"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("There is no `proxy.toml`"), "{}", said.out);
    let secret = fs::read(place.path().join("certs/capsule.key")).unwrap();
    let before = place.say(&["keys", "init"]);
    assert_eq!(before.code, 0);
    assert_eq!(before.out.matches("kept  ").count(), 2, "{}", before.out);
    assert_eq!(fs::read(place.path().join("certs/capsule.key")).unwrap(), secret);

    fs::remove_file(place.path().join("certs/capsule.key")).unwrap();
    let said = place.say(&["keys", "init"]);
    assert!(
        said.out.contains("kept  ") && said.out.contains("made  "),
        "{}",
        said.out
    );
}

#[test]
fn keys_are_rotated_where_the_configuration_says_even_if_the_rest_of_it_is_unfinished() {
    let place = Place::with("[tokens]\nkeys = \"elsewhere\"\n[listen]\nadress = 1\n");
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["keys", "rotate", "--publish-first", "1h"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("sign 1h from now"), "{}", said.out);
    let said = place.say(&["keys", "list"]);
    assert_eq!(said.out.matches("  signing  ").count(), 3, "{}", said.out);
    assert_eq!(said.out.matches("  next  ").count(), 3, "{}", said.out);
    assert_eq!(fs::read_dir(place.path().join("elsewhere")).unwrap().count(), 6);
}
