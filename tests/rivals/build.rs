//! Compiles what reads with osip2, and links its parser (Debian: libosip2-dev).

fn main() {
    cc::Build::new().file("src/osip.c").warnings_into_errors(true).compile("read_with_osip");
    println!("cargo:rustc-link-lib=osipparser2");
    println!("cargo:rerun-if-changed=src/osip.c");
}
