// Package pack reads deployment packages: the zip archives that functions and layers are made of.
//
// An archive comes from outside and is trusted with nothing. Check reads its directory; Unpack
// writes it to an empty folder, with these promises:
//
//   - Nothing is written outside the folder, through a link or otherwise, and no link in it leads
//     outside (names that climb, start at the root, repeat or contradict each other are refused).
//   - Only files, folders and symbolic links come out; files are readable by everybody and keep
//     one thing of their mode, whether they may be executed.
//   - What comes out is bounded in bytes, in entries and in depth, by what is really written and
//     not by what the archive says of itself.
//
// A Store keeps packages unpacked under their content's hash, each once, read-only, whoever uses
// them. It is a cache: what is missing is unpacked again from the archive.
package pack
