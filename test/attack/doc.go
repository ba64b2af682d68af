// Package attack shows, on the real binary and over real sockets, what does not open the door:
// forged, replayed and stolen signatures, borrowed identities, pages of other origins, requests
// that two readers read differently, and bodies that swell. Each is refused with AWS's own code,
// leaves its mark in the trail, and takes neither the server nor a secret with it.
package attack
