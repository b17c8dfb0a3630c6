//! Test images as OCI layouts: written here, pushed by skopeo. (Made of real Debian packages by `peers/peers.sh`.)
