package lambda

import (
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// planeOps are the operations on what stands around functions: concurrency that is held ready,
// permissions of layers, code signing, runtimes, recursion.
func (s *Service) planeOps() []gate.Op {
	return []gate.Op{
		gate.On(lambda.OpPutProvisionedConcurrencyConfig, gate.Write, onFunction(s, "lambda:PutProvisionedConcurrencyConfig", func(in *lambda.PutProvisionedConcurrencyConfigInput) named {
			return named{in.FunctionName, &in.Qualifier}
		}), s.putProvisioned),
		gate.On(lambda.OpGetProvisionedConcurrencyConfig, gate.Read, onFunction(s, "lambda:GetProvisionedConcurrencyConfig", func(in *lambda.GetProvisionedConcurrencyConfigInput) named {
			return named{in.FunctionName, &in.Qualifier}
		}), s.getProvisioned),
		gate.On(lambda.OpDeleteProvisionedConcurrencyConfig, gate.Write, onFunction(s, "lambda:DeleteProvisionedConcurrencyConfig", func(in *lambda.DeleteProvisionedConcurrencyConfigInput) named {
			return named{in.FunctionName, &in.Qualifier}
		}), s.deleteProvisioned),
		gate.On(lambda.OpListProvisionedConcurrencyConfigs, gate.Read, onFunction(s, "lambda:ListProvisionedConcurrencyConfigs", func(in *lambda.ListProvisionedConcurrencyConfigsInput) named { return named{in.FunctionName, nil} }), s.listProvisioned),

		gate.On(lambda.OpAddLayerVersionPermission, gate.Write, onLayer("lambda:AddLayerVersionPermission", func(in *lambda.AddLayerVersionPermissionInput) (string, int64) { return in.LayerName, in.VersionNumber }), s.addLayerPermission),
		gate.On(lambda.OpRemoveLayerVersionPermission, gate.Write, onLayer("lambda:RemoveLayerVersionPermission", func(in *lambda.RemoveLayerVersionPermissionInput) (string, int64) {
			return in.LayerName, in.VersionNumber
		}), s.removeLayerPermission),
		gate.On(lambda.OpGetLayerVersionPolicy, gate.Read, onLayer("lambda:GetLayerVersionPolicy", func(in *lambda.GetLayerVersionPolicyInput) (string, int64) { return in.LayerName, in.VersionNumber }), s.getLayerPolicy),

		gate.On(lambda.OpCreateCodeSigningConfig, gate.Write, onEverything[lambda.CreateCodeSigningConfigInput]("lambda:CreateCodeSigningConfig"), s.createSigning),
		gate.On(lambda.OpGetCodeSigningConfig, gate.Read, onSigning("lambda:GetCodeSigningConfig", func(in *lambda.GetCodeSigningConfigInput) string { return in.CodeSigningConfigArn }), s.getSigning),
		gate.On(lambda.OpUpdateCodeSigningConfig, gate.Write, onSigning("lambda:UpdateCodeSigningConfig", func(in *lambda.UpdateCodeSigningConfigInput) string { return in.CodeSigningConfigArn }), s.updateSigning),
		gate.On(lambda.OpDeleteCodeSigningConfig, gate.Write, onSigning("lambda:DeleteCodeSigningConfig", func(in *lambda.DeleteCodeSigningConfigInput) string { return in.CodeSigningConfigArn }), s.deleteSigning),
		gate.On(lambda.OpListCodeSigningConfigs, gate.Read, onEverything[lambda.ListCodeSigningConfigsInput]("lambda:ListCodeSigningConfigs"), s.listSigning),
		gate.On(lambda.OpListFunctionsByCodeSigningConfig, gate.Read, onSigning("lambda:ListFunctionsByCodeSigningConfig", func(in *lambda.ListFunctionsByCodeSigningConfigInput) string { return in.CodeSigningConfigArn }), s.listSigned),
		gate.On(lambda.OpPutFunctionCodeSigningConfig, gate.Write, s.needSigned, s.putSigned),
		gate.On(lambda.OpGetFunctionCodeSigningConfig, gate.Read, onFunction(s, "lambda:GetFunctionCodeSigningConfig", func(in *lambda.GetFunctionCodeSigningConfigInput) named { return named{in.FunctionName, nil} }), s.getSigned),
		gate.On(lambda.OpDeleteFunctionCodeSigningConfig, gate.Write, onFunction(s, "lambda:DeleteFunctionCodeSigningConfig", func(in *lambda.DeleteFunctionCodeSigningConfigInput) named { return named{in.FunctionName, nil} }), s.deleteSigned),

		gate.On(lambda.OpPutRuntimeManagementConfig, gate.Write, onFunction(s, "lambda:PutRuntimeManagementConfig", func(in *lambda.PutRuntimeManagementConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.putRuntime),
		gate.On(lambda.OpGetRuntimeManagementConfig, gate.Read, onFunction(s, "lambda:GetRuntimeManagementConfig", func(in *lambda.GetRuntimeManagementConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.getRuntime),
		gate.On(lambda.OpPutFunctionRecursionConfig, gate.Write, onFunction(s, "lambda:PutFunctionRecursionConfig", func(in *lambda.PutFunctionRecursionConfigInput) named { return named{in.FunctionName, nil} }), s.putRecursion),
		gate.On(lambda.OpGetFunctionRecursionConfig, gate.Read, onFunction(s, "lambda:GetFunctionRecursionConfig", func(in *lambda.GetFunctionRecursionConfigInput) named { return named{in.FunctionName, nil} }), s.getRecursion),
	}
}

// showPlane shows what the plane has put into a version.
func (v version) showPlane(c *lambda.FunctionConfiguration) { v.showSigned(c) }
