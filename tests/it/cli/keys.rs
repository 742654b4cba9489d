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

#[test]
fn a_new_capsule_secret_lies_beside_the_old_one_and_prune_deletes_only_what_is_retired() {
    let place = Place::with("[tokens]\npublish_before = \"1h\"\npublish_after = \"1s\"\n");
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["keys", "rotate", "--capsule"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("it opens at once and seals from"), "{}", said.out);
    let files = || fs::read_dir(place.path().join("certs")).unwrap().count();
    assert_eq!(files(), 3, "two secrets and the folder of keys");
    let said = place.say(&["keys", "list"]);
    assert!(said.out.contains("  seals    the beginning"), "{}", said.out);
    assert!(said.out.contains("  next     "), "{}", said.out);
    assert!(
        place
            .say(&["keys", "init"])
            .out
            .contains("there is a capsule secret already")
    );

    assert_eq!(place.say(&["keys", "rotate"]).code, 0);
    let said = place.say(&["keys", "prune"]);
    assert!(said.out.contains("nothing was deleted"), "{}", said.out);
    let signing = place.path().join("certs/signing");
    assert_eq!(fs::read_dir(&signing).unwrap().count(), 6);
    // A file name says when its key signs: these did so a day ago, and those before them the day before.
    for entry in fs::read_dir(&signing).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (kind, _) = name.split_once('-').unwrap();
        let successor = signing.join(format!("{kind}-20260102T000000Z.pem"));
        let renamed = if successor.exists() {
            signing.join(format!("{kind}-20260101T000000Z.pem"))
        } else {
            successor
        };
        fs::rename(&path, renamed).unwrap();
    }
    let said = place.say(&["keys", "list"]);
    assert_eq!(said.out.matches("  retired ").count(), 3, "{}", said.out);
    let said = place.say(&["keys", "prune"]);
    assert_eq!(said.out.matches("deleted  ").count(), 3, "{}", said.out);
    assert_eq!(fs::read_dir(&signing).unwrap().count(), 3);
}
