#!/bin/sh
# init.sh ROOT NAME [HIERARCHY=OPTIONS …]: process 1 of a bare system. Runs in new namespaces of every kind; mounts what a
# kernel and an init system give a machine, makes ROOT the root, says so, and then does nothing but collect ended processes.
set -eu

# /proc is still the machine's own: this process as the machine numbers it.
read -r pid _ </proc/self/stat
echo "pid $pid"

root=$1
echo "$2" >/proc/sys/kernel/hostname
shift 2

# A root must be a mount of its own, or runc can't leave it.
mount --bind "$root" "$root"
cd "$root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
mkdir -p run/lock

# The devices every program counts on, and no other of this machine.
mount -t tmpfs -o nosuid,mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/mqueue
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1)))"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue dev/mqueue

# In a control group namespace each hierarchy begins at the bare system's own group.
if [ "${1-}" = unified=/ ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs sys/fs/cgroup
  for hierarchy; do
    folder=sys/fs/cgroup/${hierarchy%%=*}
    options=${hierarchy#*=}
    mkdir "$folder"
    if [ -z "$options" ]; then mount -t cgroup2 cgroup2 "$folder"; else mount -t cgroup -o "$options" cgroup "$folder"; fi
  done
fi

if [ -d /lib/modules ]; then
  mkdir -p lib/modules
  mount --bind /lib/modules lib/modules
  mount -o remount,bind,ro lib/modules
fi

mkdir .machine
pivot_root . .machine
exec chroot . /bin/sh -c '
  umount -l /.machine
  rmdir /.machine
  echo ready
  exec </dev/null >/dev/null 2>&1
  while :; do sleep 86400 & wait $!; done
'
