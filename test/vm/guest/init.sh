#!/bin/busybox sh
# First program of the guest. Makes the host's file system, read-only and under an overlay, the root, and goes on there.
set -eu
b=/bin/busybox
. /env

$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $b insmod "$module"; done

share() { # tag, folder, more options
  $b mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}
share host /host ro,cache=loose
$b mount -t tmpfs rw /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /root
$b mkdir -p /root/results
share results /root/results rw,cache=none

$b umount /proc
$b mount --move /dev /root/dev
# Not chroot: user namespaces can't be made in one.
exec $b switch_root /root /bin/sh "$DEPUTY_VM_START"
