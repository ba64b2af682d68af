package lambda

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Deps are what the service works with.
type Deps struct {
	IDs    ids.Source
	Clock  clock.Clock
	Sealer *sealing.Sealer
	Blobs  *store.Blobs
	Code   *pack.Store
	Images *pack.Store // trees of container images
	// Registries are those that images may be fetched from; nil: none.
	Registries Registries
	// Changes counts the commits to the service's space, as store.DB.Changes does: a copy made at
	// one count is fresh while the count stays.
	Changes func() uint64
	Runner  Runner
	// Expect is told of the sorts of functions that there are, whenever that may have changed; it may
	// be nil.
	Expect func(ctx context.Context, fns []fleet.Function)
	// Runtime reports whether functions of a runtime can start on this machine; its error says what
	// to do.
	Runtime func(ctx context.Context, name string) error
	// RuntimeVersion names the version of a runtime that this machine has
	// (runtimes.Runtime.VersionID); nil: nobody knows.
	RuntimeVersion func(ctx context.Context, name string) (string, error)
	// Publishers are the signing profiles whose signatures can be held against their keys; nil: none.
	Publishers Publishers
	Networks   Networks // the VPCs that functions may be in; nil: none
	Isolation  Isolation
	Arch       string // this machine's processor: "x86_64" or "arm64"
	Intake     Intake
	// CodeStorage is how many bytes of archives an account may have in a region; 0: 75 GB.
	CodeStorage int64
	Roles       Roles
	// Queues and Streams open event sources, by the service in their ARNs; what is in neither cannot be
	// mapped.
	Queues  map[string]QueueSource
	Streams map[string]StreamSource
	// Alone: no other process works on the store, so that what another had claimed is nobody's.
	Alone bool
	// Chance gives a number from 0 up to 1, for weighted aliases.
	Chance func() float64
	// URL is the address of a function URL by its id, for clients: "http://ID.lambda-url.localhost:4566/".
	URL func(id string) string
	// Presign is an address for the caller to send a request of this service from elsewhere; nil for a
	// caller who has no credentials, as other services.
	Presign func(c *gate.Call, r Presigned) (*string, error)
	// Departure is told of what departs from a function's profile; nil for nobody.
	Departure func(fn *fleet.Function, what string, refused bool)
	Log       *slog.Logger
}

// Credentials are a session of an execution role.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
}

// Assumption says for which function a role is taken.
type Assumption struct {
	Account, Region, RoleARN string
	FunctionARN              string // aws:SourceArn in the role's trust policy
	SessionName              string
}

// Roles takes execution roles, as the service principal lambda.amazonaws.com.
type Roles interface {
	// Assume gives credentials of the role. It fails when the role is not there or does not trust
	// Lambda.
	Assume(ctx context.Context, a Assumption) (Credentials, error)
	// Caller acts at the door as the session that the credentials stand for; keys are condition keys
	// that this service gives about its calls, nil for none.
	Caller(c Credentials, region string, keys map[string][]string) (wire.Caller, error)
}

// Service is Lambda.
type Service struct {
	Deps
	t           tables
	intake      intake
	targets     targets
	roles       roleCache
	learned     learned
	journal     *journal
	courier     *courier
	mapped      *mapped
	waitingMost int64         // events of one function that may wait
	wishing     chan struct{} // what is to be held ready may have changed
	delivering  sync.WaitGroup
}

// New makes the service. Run does its background work.
func New(d Deps) *Service {
	if d.CodeStorage == 0 {
		d.CodeStorage = accountCode
	}
	s := &Service{Deps: d, t: newTables(), intake: newIntake(d.Intake), courier: newCourier(), mapped: newMapped(), waitingMost: maxWaiting, wishing: make(chan struct{}, 1)}
	s.learned = learned{pending: map[functionKey]map[string]map[fleet.Fact]bool{}, wake: make(chan struct{}, 1)}
	s.targets.byName = map[reference]*target{}
	s.roles.held = map[Assumption]*held{}
	s.journal = &journal{caller: s.logsOf, report: s.report, now: d.Clock.Now, streams: map[fleet.Stream]*stream{}}
	return s
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: lambda.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return append(slices.Concat(s.asyncOps(), s.mappingOps(), s.planeOps()), []gate.Op{
		gate.On(lambda.OpCreateFunction, gate.Write, s.needCreate, s.createFunction),
		gate.On(lambda.OpGetFunction, gate.Read, onFunction(s, "lambda:GetFunction", func(in *lambda.GetFunctionInput) named { return named{in.FunctionName, in.Qualifier} }), s.getFunction),
		gate.On(lambda.OpGetFunctionConfiguration, gate.Read, onFunction(s, "lambda:GetFunctionConfiguration", func(in *lambda.GetFunctionConfigurationInput) named { return named{in.FunctionName, in.Qualifier} }), s.getFunctionConfiguration),
		gate.On(lambda.OpListFunctions, gate.Read, onEverything[lambda.ListFunctionsInput]("lambda:ListFunctions"), s.listFunctions),
		gate.On(lambda.OpUpdateFunctionCode, gate.Write, s.needUpdateCode, s.updateFunctionCode),
		gate.On(lambda.OpUpdateFunctionConfiguration, gate.Write, s.needConfigure, s.updateFunctionConfiguration),
		gate.On(lambda.OpDeleteFunction, gate.Write, onFunction(s, "lambda:DeleteFunction", func(in *lambda.DeleteFunctionInput) named { return named{in.FunctionName, in.Qualifier} }), s.deleteFunction),
		gate.On(lambda.OpInvoke, gate.Invoke, s.needInvoke, s.invoke),
		gate.On(lambda.OpInvokeWithResponseStream, gate.Invoke, s.needInvokeStream, s.invokeStream),

		gate.On(lambda.OpPublishVersion, gate.Write, onFunction(s, "lambda:PublishVersion", func(in *lambda.PublishVersionInput) named { return named{in.FunctionName, nil} }), s.publishVersion),
		gate.On(lambda.OpListVersionsByFunction, gate.Read, onFunction(s, "lambda:ListVersionsByFunction", func(in *lambda.ListVersionsByFunctionInput) named { return named{in.FunctionName, nil} }), s.listVersions),
		gate.On(lambda.OpCreateAlias, gate.Write, onFunction(s, "lambda:CreateAlias", func(in *lambda.CreateAliasInput) named { return named{in.FunctionName, nil} }), s.createAlias),
		gate.On(lambda.OpGetAlias, gate.Read, onFunction(s, "lambda:GetAlias", func(in *lambda.GetAliasInput) named { return named{in.FunctionName, nil} }), s.getAlias),
		gate.On(lambda.OpUpdateAlias, gate.Write, onFunction(s, "lambda:UpdateAlias", func(in *lambda.UpdateAliasInput) named { return named{in.FunctionName, nil} }), s.updateAlias),
		gate.On(lambda.OpDeleteAlias, gate.Write, onFunction(s, "lambda:DeleteAlias", func(in *lambda.DeleteAliasInput) named { return named{in.FunctionName, nil} }), s.deleteAlias),
		gate.On(lambda.OpListAliases, gate.Read, onFunction(s, "lambda:ListAliases", func(in *lambda.ListAliasesInput) named { return named{in.FunctionName, nil} }), s.listAliases),

		gate.On(lambda.OpAddPermission, gate.Write, s.needAddPermission, s.addPermission),
		gate.On(lambda.OpRemovePermission, gate.Write, onFunction(s, "lambda:RemovePermission", func(in *lambda.RemovePermissionInput) named { return named{in.FunctionName, in.Qualifier} }), s.removePermission),
		gate.On(lambda.OpGetPolicy, gate.Read, onFunction(s, "lambda:GetPolicy", func(in *lambda.GetPolicyInput) named { return named{in.FunctionName, in.Qualifier} }), s.getPolicy),

		gate.On(lambda.OpCreateFunctionUrlConfig, gate.Write, s.needCreateURL, s.createURL),
		gate.On(lambda.OpGetFunctionUrlConfig, gate.Read, onURL(s, "lambda:GetFunctionUrlConfig", func(in *lambda.GetFunctionUrlConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.getURL),
		gate.On(lambda.OpUpdateFunctionUrlConfig, gate.Write, s.needUpdateURL, s.updateURL),
		gate.On(lambda.OpDeleteFunctionUrlConfig, gate.Write, onURL(s, "lambda:DeleteFunctionUrlConfig", func(in *lambda.DeleteFunctionUrlConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.deleteURL),
		gate.On(lambda.OpListFunctionUrlConfigs, gate.Read, onFunction(s, "lambda:ListFunctionUrlConfigs", func(in *lambda.ListFunctionUrlConfigsInput) named { return named{in.FunctionName, nil} }), s.listURLs),

		gate.On(lambda.OpPublishLayerVersion, gate.Write, onLayer("lambda:PublishLayerVersion", func(in *lambda.PublishLayerVersionInput) (string, int64) { return in.LayerName, 0 }), s.publishLayerVersion),
		gate.On(lambda.OpGetLayerVersion, gate.Read, onSharedLayer(s, func(in *lambda.GetLayerVersionInput) (string, int64) { return in.LayerName, in.VersionNumber }), s.getLayerVersion),
		gate.On(lambda.OpGetLayerVersionByArn, gate.Read, onSharedLayer(s, func(in *lambda.GetLayerVersionByArnInput) (string, int64) { return in.Arn, 0 }), s.getLayerVersionByARN),
		gate.On(lambda.OpListLayerVersions, gate.Read, onEverything[lambda.ListLayerVersionsInput]("lambda:ListLayerVersions"), s.listLayerVersions),
		gate.On(lambda.OpListLayers, gate.Read, onEverything[lambda.ListLayersInput]("lambda:ListLayers"), s.listLayers),
		gate.On(lambda.OpDeleteLayerVersion, gate.Write, onLayer("lambda:DeleteLayerVersion", func(in *lambda.DeleteLayerVersionInput) (string, int64) { return in.LayerName, in.VersionNumber }), s.deleteLayerVersion),

		gate.On(lambda.OpTagResource, gate.Write, s.needTag, s.tagResource),
		gate.On(lambda.OpUntagResource, gate.Write, s.needUntag, s.untagResource),
		gate.On(lambda.OpListTags, gate.Read, s.needListTags, s.listTags),

		gate.On(lambda.OpPutFunctionConcurrency, gate.Write, onFunction(s, "lambda:PutFunctionConcurrency", func(in *lambda.PutFunctionConcurrencyInput) named { return named{in.FunctionName, nil} }), s.putConcurrency),
		gate.On(lambda.OpGetFunctionConcurrency, gate.Read, onFunction(s, "lambda:GetFunctionConcurrency", func(in *lambda.GetFunctionConcurrencyInput) named { return named{in.FunctionName, nil} }), s.getConcurrency),
		gate.On(lambda.OpDeleteFunctionConcurrency, gate.Write, onFunction(s, "lambda:DeleteFunctionConcurrency", func(in *lambda.DeleteFunctionConcurrencyInput) named { return named{in.FunctionName, nil} }), s.deleteConcurrency),
		gate.On(lambda.OpGetAccountSettings, gate.Read, onEverything[lambda.GetAccountSettingsInput]("lambda:GetAccountSettings"), s.getAccountSettings),
	}...)
}
