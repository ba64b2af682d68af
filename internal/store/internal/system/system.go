// Package system names tables that belong to the store itself and that every transaction may
// touch through the sub-package that owns them: references to blobs, sealed data keys. Being
// internal, it keeps anything outside the store from declaring one.
package system

// Table names a system table. Spaces begin with an underscore, which no service's does.
type Table struct{ Space, Name string }
