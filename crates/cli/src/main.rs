mod stubs;
fn main() {}
