use super::*;
use lab::sandbox;
use std::error::Error;
use std::process::Command;

fn ip(arguments: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("ip {arguments}: {error}").into())
    }
}

fn virtuals(base: &str) -> Virtuals {
    let it = |base: &str| Virtual { base: base.to_owned(), mac: [0, 0, 0x5e, 0, 1, 51] };
    [("vrrp51-pub".to_owned(), it("public0")), ("vrrp51-prv".to_owned(), it(base))].into()
}

#[test]
fn makes_keeps_and_removes_them() {
    sandbox::test(|| {
        for link in ["public0", "private0", "other0"] {
            ip(&format!("link add {link} type veth peer name peer-{link}"))?;
        }
        // Others' interfaces that look alike.
        ip("link add link other0 name vrrp52-pub address 02:00:00:00:00:01 type macvlan mode private")?;
        ip("link add link other0 name vrrpish address 00:00:5e:00:01:35 type macvlan mode private")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let wanted = virtuals("private0");
            assert!(missing(&wanted));
            assert_eq!(make(&wanted).await, [""; 0]);
            assert!(!missing(&wanted));
            let shown = ip("-d link show vrrp51-pub")?;
            for part in ["vrrp51-pub@public0", "state DOWN", "00:00:5e:00:01:33", "mode private"] {
                assert!(shown.contains(part), "{part}: {shown}");
            }
            // Of an earlier run.
            ip("address add 192.168.1.35/32 dev vrrp51-pub")?;
            assert_eq!(make(&wanted).await, [""; 0]);
            assert!(ip("address show dev vrrp51-pub")?.contains("192.168.1.35"));
            // Another interface below.
            assert_eq!(make(&virtuals("other0")).await, [""; 0]);
            assert!(ip("link show vrrp51-prv")?.contains("vrrp51-prv@other0"));

            let errors = make(&virtuals("nowhere0")).await;
            assert!(matches!(errors.as_slice(), [error] if error.contains("\"nowhere0\"")), "{errors:?}");
            assert_eq!(clear(&Virtuals::new()).await, [""; 0]);
            let left = ip("-brief link show type macvlan")?;
            assert!(
                left.contains("vrrp52-pub@") && left.contains("vrrpish@") && !left.contains("vrrp51"),
                "{left}"
            );
            ip("link add vrrp51-pub type veth peer name peer4")?;
            let errors = make(&wanted).await;
            assert!(matches!(errors.as_slice(), [error] if error.contains("\"vrrp51-pub\"")), "{errors:?}");
            Ok(())
        })
    });
}
