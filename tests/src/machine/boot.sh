# boot.sh ROOT FILES DIRECTOR: makes the root of a machine and becomes systemd. It is process 1 of a process namespace, with
# mounts and control groups of its own. What lies in FILES is below / there, the director is /opt/director.
set -eu
root=$1 files=$2 director=$3
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount --make-rprivate /
mkdir -p "$root"
mount -t tmpfs -o mode=755 root "$root"
cd "$root"
mkdir -p dev etc/systemd/system home opt proc root run sys tmp usr var/lib var/log
mount --rbind /usr usr
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
for file in passwd group nsswitch.conf protocols services ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
    [ ! -e "/etc/$file" ] || cp -a "/etc/$file" etc/
done
: > etc/machine-id
: > etc/fstab
printf '[Unit]\nDescription=The lab\nAllowIsolate=yes\n' > etc/systemd/system/lab.target
cp -R "$files/." .
if [ -n "$director" ]; then
    : > opt/director
    mount --bind "$director" opt/director
fi

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do
    : > dev/$device
    mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs shm dev/shm

mkdir old
pivot_root . old
cd /
umount -l old
rmdir old
export container=lab
exec /lib/systemd/systemd --unit=lab.target --log-target=journal --log-level=notice --show-status=no
