package main

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// loopback is the number that the first interface of a network namespace has.
const loopback = 1

// everywhere makes every address of IPv4 and IPv6 this sandbox's own (AnyIP: a route of type local to
// all of them). Nothing could have left in any case, as there is no interface but loopback; but so a
// connection to any host arrives at the door of its port, if there is one, and is seen by the watch.
func everywhere() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return wrap("open a socket for routes", err)
	}
	defer unix.Close(fd)
	if err := addLocal(fd, unix.AF_INET); err != nil {
		return wrap("route IPv4 to the doors", err)
	}
	// A machine with IPv6 switched off refuses this one, and then nothing inside can use IPv6 either.
	_ = addLocal(fd, unix.AF_INET6)
	return nil
}

// addLocal adds the route "local default dev lo table local" (rtnetlink(7)).
func addLocal(fd int, family byte) error {
	b := make([]byte, 0, 64)
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr+unix.SizeofRtMsg+8)
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWROUTE)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	b = append(b, 1, 0, 0, 0, 0, 0, 0, 0) // sequence, and the kernel's choice of port
	b = append(b, family, 0, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_BOOT, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_OIF)
	b = binary.NativeEndian.AppendUint32(b, loopback)
	return ordered(fd, b)
}

// ordered sends one message and reads the kernel's verdict.
func ordered(fd int, b []byte) error {
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return unix.EPROTO
	}
	if errno := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// everywhereByAddress is everywhere for gVisor, whose kernel takes no such route, but has loopback answer
// for the whole of each address's network: so it is given one address in each half of IPv4. It has no way
// to say the same of IPv6.
func everywhereByAddress() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return wrap("open a socket for addresses", err)
	}
	defer unix.Close(fd)
	for _, half := range []byte{0, 128} {
		if err := addAddress(fd, [4]byte{half, 0, 0, 1}, 1); err != nil {
			return wrap("have loopback answer for IPv4", err)
		}
	}
	return nil
}

// addAddress gives loopback an address with its network.
func addAddress(fd int, ip [4]byte, bits byte) error {
	b := make([]byte, 0, 64)
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr+unix.SizeofIfAddrmsg+2*8)
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWADDR)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	b = append(b, 1, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, unix.AF_INET, bits, 0, unix.RT_SCOPE_HOST)
	b = binary.NativeEndian.AppendUint32(b, loopback)
	for _, kind := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		b = binary.NativeEndian.AppendUint16(b, 8)
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, ip[:]...)
	}
	return ordered(fd, b)
}

// watchRoom is the bytes of packets, as the kernel counts them, that wait to be read: what Linux allows by
// default (net.core.rmem_max), some 500 packets. What comes while it is full is counted (PACKET_STATISTICS).
const watchRoom = 208 << 10

// openWatch opens the socket that sees what is sent, wherever it goes.
func openWatch() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, wrap("open the watch", err)
	}
	filter := seen()
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return -1, wrap("narrow the watch", err)
	}
	// what goes to loopback is sent and received; once is enough
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return -1, wrap("turn the watch inwards", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, watchRoom); err != nil {
		return -1, wrap("bound the watch", err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: loopback}); err != nil {
		return -1, wrap("begin the watch", err)
	}
	return fd, nil
}

// seen is the filter of the watch: of what arrives, the head of each TCP segment that begins a connection
// and of each UDP datagram, but for those to 127.0.0.1 and ::1, where the sandbox speaks with itself and
// with Bastide; of what goes there, the head of what refuses a connection, for nothing listens. That is a
// RST with an ACK and the sequence number 0, which ends no connection that was made (RFC 9293 3.5.2).
// Offsets are from the IP header on (SOCK_DGRAM of packet(7)).
func seen() []unix.SockFilter {
	const (
		protocol = 0xfffff000 // SKF_AD_OFF + SKF_AD_PROTOCOL
		flags    = 0x16
		syn      = 0x02
		rstAck   = 0x14
		head     = 64 // bytes kept: a header of either kind, the ports, and the flags where there are few options
		drop     = 44
		keep     = 45
	)
	jump := func(at, code int, k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: uint16(unix.BPF_JMP | code | unix.BPF_K), Jt: uint8(yes - at - 1), Jf: uint8(no - at - 1), K: k}
	}
	load := func(size int, k uint32) unix.SockFilter {
		return unix.SockFilter{Code: uint16(unix.BPF_LD | size | unix.BPF_ABS), K: k}
	}
	and := unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: flags}
	return []unix.SockFilter{
		0: load(unix.BPF_W, protocol),
		1: jump(1, unix.BPF_JEQ, unix.ETH_P_IP, 3, 2),
		2: jump(2, unix.BPF_JEQ, unix.ETH_P_IPV6, 19, drop),

		3:  load(unix.BPF_B, 9),
		4:  jump(4, unix.BPF_JEQ, unix.IPPROTO_UDP, 17, 5),
		5:  jump(5, unix.BPF_JEQ, unix.IPPROTO_TCP, 6, drop),
		6:  load(unix.BPF_H, 6),
		7:  jump(7, unix.BPF_JSET, 0x1fff, drop, 8), // a later fragment has no ports
		8:  {Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH},
		9:  {Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 13},
		10: and,
		11: jump(11, unix.BPF_JEQ, syn, 17, 12),
		12: jump(12, unix.BPF_JEQ, rstAck, 13, drop),
		13: {Code: unix.BPF_LD | unix.BPF_W | unix.BPF_IND, K: 4},
		14: jump(14, unix.BPF_JEQ, 0, 15, drop),
		15: load(unix.BPF_W, 12),
		16: jump(16, unix.BPF_JEQ, 0x7f000001, keep, drop),
		17: load(unix.BPF_W, 16),
		18: jump(18, unix.BPF_JEQ, 0x7f000001, drop, keep),

		19: load(unix.BPF_B, 6),
		20: jump(20, unix.BPF_JEQ, unix.IPPROTO_UDP, 36, 21),
		21: jump(21, unix.BPF_JEQ, unix.IPPROTO_TCP, 22, drop),
		22: load(unix.BPF_B, 40+13),
		23: and,
		24: jump(24, unix.BPF_JEQ, syn, 36, 25),
		25: jump(25, unix.BPF_JEQ, rstAck, 26, drop),
		26: load(unix.BPF_W, 40+4),
		27: jump(27, unix.BPF_JEQ, 0, 28, drop),
		28: load(unix.BPF_W, 8),
		29: jump(29, unix.BPF_JEQ, 0, 30, drop),
		30: load(unix.BPF_W, 12),
		31: jump(31, unix.BPF_JEQ, 0, 32, drop),
		32: load(unix.BPF_W, 16),
		33: jump(33, unix.BPF_JEQ, 0, 34, drop),
		34: load(unix.BPF_W, 20),
		35: jump(35, unix.BPF_JEQ, 1, keep, drop),
		36: load(unix.BPF_W, 24),
		37: jump(37, unix.BPF_JEQ, 0, 38, keep),
		38: load(unix.BPF_W, 28),
		39: jump(39, unix.BPF_JEQ, 0, 40, keep),
		40: load(unix.BPF_W, 32),
		41: jump(41, unix.BPF_JEQ, 0, 42, keep),
		42: load(unix.BPF_W, 36),
		43: jump(43, unix.BPF_JEQ, 1, drop, keep),

		drop: {Code: unix.BPF_RET | unix.BPF_K, K: 0},
		keep: {Code: unix.BPF_RET | unix.BPF_K, K: head},
	}
}
