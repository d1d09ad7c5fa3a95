# Second program of the guest, on the host's file system: mounts what a system has, runs the cases, switches off.
# The exit code in /results/exit is written last; without it the run has failed, whatever else there is.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=${TERM:-dumb}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
# Where unprivileged processes can reach them, wherever the checkout and its Node lie: below /tmp too, which is
# covered next.
mkdir -p /deputy/project
mount --bind "$DEPUTY_VM_PROJECT" /deputy/project
touch /deputy/node
mount --bind "$DEPUTY_VM_NODE" /deputy/node
for folder in /tmp /run /dev/shm /var/lib /var/log; do
  mkdir -p $folder
  mount -t tmpfs tmpfs $folder
done
chmod 1777 /tmp /dev/shm
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
echo '+cpuset +cpu +memory +io +pids' > /sys/fs/cgroup/cgroup.subtree_control
# As on a system with systemd, what runs lies in a cgroup of its own and not in the root.
mkdir /sys/fs/cgroup/harness
echo $$ > /sys/fs/cgroup/harness/cgroup.procs
hostname deputy-vm
cases=/deputy/project/$DEPUTY_VM_BUILD/test/vm/guest/main.js

cd /deputy/project || exit
if [ -n "$DEPUTY_VM_SHELL" ]; then
  echo "the cases: /deputy/node $cases   the end: exit"
  setsid -c /bin/bash -i
else
  /deputy/node "$cases"
fi
code=$?
echo "$code" > /results/exit
sync
exec busybox poweroff -f
