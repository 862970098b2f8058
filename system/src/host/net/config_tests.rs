use super::*;
use proptest::prelude::*;

fn user(text: &str) -> UserConfig {
    match text.parse() {
        Ok(NetConfig::User(config)) => config,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn forwardings_as_people_write_them() {
    let cases = [
        ("tcp:2222-:22", Protocol::Tcp, "127.0.0.1:2222", "10.0.2.15:22"),
        ("tcp::2222-:22", Protocol::Tcp, "127.0.0.1:2222", "10.0.2.15:22"),
        ("tcp:0.0.0.0:80-10.0.2.16:8080", Protocol::Tcp, "0.0.0.0:80", "10.0.2.16:8080"),
        ("udp:127.0.0.2:0-:53", Protocol::Udp, "127.0.0.2:0", "10.0.2.15:53"),
        ("tcp:2222-22", Protocol::Tcp, "127.0.0.1:2222", "10.0.2.15:22"),
    ];
    for (text, protocol, host, guest) in cases {
        let expected =
            Forward { protocol, host: host.parse().unwrap(), guest: guest.parse().unwrap() };
        assert_eq!(user(&format!("user,hostfwd={text}")).forwards, [expected], "{text}");
    }
}

#[test]
fn every_option_is_kept() {
    let config = user(
        "user,hostfwd=tcp:1-:1,hostfwd=udp:1-:1,restrict=on,dns=127.0.0.1:5353,dns=::1,\
         hostname=box-1,mtu=9000,mac=52:54:00:AB:cd:ef",
    );
    assert_eq!(config.forwards.len(), 2);
    assert_eq!(config.access, Access::Restricted);
    assert_eq!(config.dns, ["127.0.0.1:5353".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!(config.hostname.as_deref(), Some("box-1"));
    assert_eq!((config.mtu, config.mac.to_string().as_str()), (9000, "52:54:00:ab:cd:ef"));
    assert_eq!(user("user"), UserConfig::default());
    assert_eq!("none".parse(), Ok(NetConfig::None));
}

#[test]
fn errors_name_what_is_wrong() {
    let cases = [
        ("", "unknown network ``"),
        ("tap", "unknown network `tap`"),
        ("none,mtu=1", "`none` has no options"),
        ("user,hostfwd", "option `hostfwd` needs a value"),
        ("user,mtu=", "option `mtu` needs a value"),
        ("user,speed=1", "unknown option `speed`"),
        ("user,", "unknown option ``"),
        ("user,hostfwd=2222-:22", "the protocol is"),
        ("user,hostfwd=icmp:2222-:22", "the protocol is"),
        ("user,hostfwd=tcp:2222", "the guest's side is missing"),
        ("user,hostfwd=tcp:here:2222-:22", "the host's address"),
        ("user,hostfwd=tcp::70000-:22", "the host's port"),
        ("user,hostfwd=tcp:1-10.0.2.2:22", "the guest's address"),
        ("user,hostfwd=tcp:1-192.0.2.1:22", "the guest's address"),
        ("user,hostfwd=tcp:1-:0", "the guest's port"),
        ("user,hostfwd=tcp:1-:1,hostfwd=tcp::1-:2", "127.0.0.1:1 is forwarded twice"),
        ("user,restrict=yes", "restrict=yes"),
        ("user,dns=localhost", "dns=localhost"),
        ("user,hostname=a.b", "hostname=a.b"),
        ("user,mtu=500", "576 to 65520"),
        ("user,mac=52:54:00:12:34", "mac=52"),
        ("user,mac=53:54:00:12:34:56", "of one station"),
    ];
    for (text, expected) in cases {
        let error = text.parse::<NetConfig>().expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "(user|none)?(,(hostfwd|mac|mtu|dns|x)=[-a-f0-9:.,=]{0,30}){0,4}") {
        let _ = text.parse::<NetConfig>();
    }
}
