package lambda

import (
	"cmp"
	"strconv"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

const space = "lambda"

// functionKey names a function.
type functionKey struct{ Account, Region, Name string }

func (k functionKey) key(more ...any) store.Key {
	return store.K(k.Account, k.Region, k.Name).With(more...)
}

// arn names the function, and with a qualifier one of its versions or aliases.
func (k functionKey) arn(qualifier string) string {
	resource := "function:" + k.Name
	if qualifier != "" {
		resource += ":" + qualifier
	}
	return arn.New("lambda", k.Region, k.Account, resource).String()
}

// function is what all versions share. Its row is written with every change to anything of the
// function (see parts), so that the row's version says whether a copy of any part is fresh.
type function struct {
	functionKey
	ID       string // tells it from an earlier function of the same name
	Next     int64  // number of the next version
	Reserved *int32 // concurrency
	Tags     map[string]string

	Provisioned int32  `json:",omitempty"` // concurrency of all its configurations together
	Tenancy     string `json:",omitempty"` // perTenant, or "" where environments are not kept apart
	Recursion   string `json:",omitempty"` // "Allow", or "" for Terminate
	Signing     string `json:",omitempty"` // ARN of its code signing configuration
}

// version is one version's code and configuration; number 0 is $LATEST.
type version struct {
	Number      int64
	Revision    string
	Runtime     string
	Handler     string
	Role        string
	Description string
	Timeout     int32 // seconds
	Memory      int32 // MB
	Tmp         int32 // MB
	Arch        string
	Tracing     string
	LogGroup    string
	LogFormat   string // "Text" or "JSON"
	LogLevel    string // of the application, for JSON
	Env         []byte // sealed JSON, nil for none
	EnvHash     []byte // HMAC of it, to see whether anything changed
	Layers      []layerUse
	Code        packageUse
	Image       *imageUse `json:",omitempty"` // in place of a runtime, handler and layers
	Modified    time.Time

	Snap     bool           `json:",omitempty"` // SnapStart for published versions
	Runtimes runtimePolicy  `json:",omitzero"`
	Signed   *signedPackage `json:",omitempty"` // by whom its code was signed
	Network  *network       `json:",omitempty"` // the VPC that it is in
}

// packageUse is a package as a version or layer refers to it.
type packageUse struct {
	SHA256   string // of the archive, or of an image's manifest, hex
	Size     int64  // of the archive
	Unzipped int64
	Image    bool `json:",omitempty"`
}

type layerUse struct {
	ARN string
	packageUse
}

// qualifier is how the version is named: $LATEST or its number.
func (v version) qualifier() string { return qualifierOf(v.Number) }

func qualifierOf(n int64) string {
	if n == 0 {
		return name.Latest
	}
	return strconv.FormatInt(n, 10)
}

// alias points to one version, or to two with the second's share.
type alias struct {
	Name, Description, Revision string
	Version                     int64
	Other                       int64   // 0 for none
	Weight                      float64 // of Other
}

// functionURL is the address of a function or alias.
type functionURL struct {
	functionKey
	Qualifier         string // an alias, or ""
	ID                string // the first label of its host
	AuthType          string // AWS_IAM or NONE
	InvokeMode        string // BUFFERED, which "" is too, or RESPONSE_STREAM
	Cors              *lambda.Cors
	Created, Modified time.Time
}

func (u functionURL) mode() string { return cmp.Or(u.InvokeMode, buffered) }

func (u functionURL) reference() reference { return reference{u.functionKey, u.Qualifier} }

// permissions is the resource policy of a function, version or alias.
type permissions struct {
	Revision   string
	Statements []statement
}

// statement is one permission, with a user or role by unique id; by ARN in rows from before that.
type statement struct {
	Sid, JSON string
	Names     map[string]string `json:",omitempty"` // unique id in JSON → the ARN that the caller gave
}

// layer counts a layer's versions; numbers are never used again.
type layer struct{ Next int64 }

type layerVersion struct {
	Number         int64
	Description    string
	License        string
	Runtimes       []string
	Architectures  []string
	Created        time.Time
	Code           packageUse
	Account, Named string
}

// archive is a package's zip file, kept once however many versions and layers use it. It has no
// account: rows that do name it, and nobody reaches it but through them.
type archive struct {
	Blob     blob.Ref
	Unzipped int64
	Uses     int64
}

// reservations is the concurrency that the functions of an account and region have reserved.
type reservations struct{ Sum int32 }

// codeSum is how many bytes of archives an account has in a region: those of all versions of its
// functions and of its layers.
type codeSum struct{ Bytes int64 }

// numbered is what stays of a function that is deleted: versions of one made anew under its name go on
// counting, so that no reference to a version ever comes to mean other code. Source: AWS Lambda Developer
// Guide, "Manage Lambda function versions".
type numbered struct{ Next int64 }

// firstNumber is the number of a new function's first version.
func (t *tables) firstNumber(tx *store.Tx, k functionKey) (int64, error) {
	n, _, err := t.numbers.Get(tx, k.key())
	return max(n.Next, 1), err
}

// retire keeps the numbers that a function has given its versions.
func (t *tables) retire(tx *store.Tx, f function) error {
	if f.Next <= 1 {
		return nil
	}
	return t.numbers.Put(tx, f.key(), numbered{f.Next})
}

type tables struct {
	functions   store.Table[function]
	numbers     store.Table[numbered]
	versions    parts[version]
	aliases     parts[alias]
	permissions parts[permissions]
	urls        parts[functionURL]
	layers      store.Table[layer]
	layerVers   store.Table[layerVersion]
	archives    store.Table[archive]
	images      imageTables
	reserved    store.Table[reservations]
	codeSums    store.Table[codeSum]
	profiles    store.Table[profile]
	queue       queue
	mappings    mappings
	async       parts[invokeConfig]
	provisioned parts[provision]
	snaps       parts[snap]
	layerPolicy store.Table[permissions]
	signing     store.Table[signingConfig]
}

// parts is a table of what belongs to functions, under their keys and a qualifier or number. Its Put
// and Delete take the place of the table's own and write the function's row too: what is kept of a
// function in memory, and who may call it, ends with any change to a part.
type parts[T any] struct {
	store.Table[T]
	functions store.Table[function]
}

// Put writes a part, and f as it is given.
func (p parts[T]) Put(tx *store.Tx, f function, part any, v T) error {
	if err := p.Table.Put(tx, f.key(part), v); err != nil {
		return err
	}
	return p.functions.Put(tx, f.key(), f)
}

// Delete deletes a part, if there is one, and writes f.
func (p parts[T]) Delete(tx *store.Tx, f function, part any) error {
	if _, err := p.Table.Delete(tx, f.key(part)); err != nil {
		return err
	}
	return p.functions.Put(tx, f.key(), f)
}

func newTables() tables {
	functions := store.NewTable[function](space, "functions")
	return tables{
		functions:   functions,
		versions:    parts[version]{store.NewTable[version](space, "versions"), functions},
		aliases:     parts[alias]{store.NewTable[alias](space, "aliases"), functions},
		permissions: parts[permissions]{store.NewTable[permissions](space, "permissions"), functions},
		// Requests name a URL by its id alone.
		urls: parts[functionURL]{store.NewTable(space, "urls", store.Index[functionURL]{Name: "id", Unique: true, Keys: func(u functionURL) []store.Key {
			return []store.Key{store.K(u.ID)}
		}}), functions},
		numbers:   store.NewTable[numbered](space, "numbers"),
		layers:    store.NewTable[layer](space, "layers"),
		layerVers: store.NewTable[layerVersion](space, "layerVersions"),
		archives:  store.NewTable[archive](space, "archives"),
		images:    newImageTables(),
		codeSums:  store.NewTable[codeSum](space, "codeSums"),
		reserved:  store.NewTable[reservations](space, "reserved"),
		profiles:  store.NewTable[profile](space, "profiles"),
		queue:     newQueue(),
		mappings:  newMappings(),
		async:     parts[invokeConfig]{store.NewTable[invokeConfig](space, "eventInvokeConfigs"), functions},

		provisioned: parts[provision]{store.NewTable[provision](space, "provisioned"), functions},
		snaps:       parts[snap]{store.NewTable[snap](space, "snaps"), functions},
		layerPolicy: store.NewTable[permissions](space, "layerPolicies"),
		signing:     store.NewTable[signingConfig](space, "signingConfigs"),
	}
}

// layerKey names a layer.
type layerKey struct{ Account, Region, Name string }

func (k layerKey) key(more ...any) store.Key {
	return store.K(k.Account, k.Region, k.Name).With(more...)
}

func (k layerKey) arn(version int64) string {
	resource := "layer:" + k.Name
	if version > 0 {
		resource += ":" + strconv.FormatInt(version, 10)
	}
	return arn.New("lambda", k.Region, k.Account, resource).String()
}

func regionKey(account, region string) store.Key { return store.K(account, region) }

func archiveKey(sha string) store.Key { return store.K(sha) }
