// Package front owns the sockets. A request enters here, gets its id and its limits, walks the
// ten stations in one plain function (api.go) and leaves as an answer of its protocol:
//
//	accept → route → verify → identify → decode → needs → decide → do → commit → encode
//
// Application traffic, which carries no AWS signature, goes to the edge instead. The AWS API and
// everything under /_bastide refuse a Host that is not this machine's and a page of another
// origin: no website may drive a developer's Bastide.
package front
