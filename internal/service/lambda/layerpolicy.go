package lambda

import (
	"encoding/json"
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// layerNeed is reading a layer version, judged with its own policy: an account's layers are read by
// others only where that opens them.
func (s *Service) layerNeed(a *gate.Ask, k layerKey, version int64) (gate.Need, error) {
	n := gate.Need{Action: "lambda:GetLayerVersion", Resource: k.arn(version), Account: k.Account}
	var p permissions
	err := a.View(func(tx *store.Tx) (err error) {
		p, _, err = s.t.layerPolicy.Get(tx, k.key(version))
		return err
	})
	if err != nil || len(p.Statements) == 0 {
		return n, err
	}
	compiled, err := a.Policy(policy.Resource, p.document())
	if err != nil {
		return n, err
	}
	n.Policy = &policy.Attached{Policy: compiled, Name: "default", ARN: k.arn(version), Where: "resource policy of layer version " + k.arn(version)}
	return n, nil
}

// onSharedLayer is reading the layer version that the input names.
func onSharedLayer[In any](s *Service, of func(*In) (string, int64)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		text, v := of(in)
		k, inARN, err := referLayer(a, text)
		if err != nil {
			return nil, err
		}
		n, err := s.layerNeed(a, k, max(v, inARN))
		return []gate.Need{n}, err
	}
}

// readLayers is reading the layers that a function is to use.
func (s *Service) readLayers(a *gate.Ask, arns []string) ([]gate.Need, error) {
	var needs []gate.Need
	for _, l := range arns {
		p, err := name.ParseLayer(l)
		if err != nil {
			needs = append(needs, gate.Need{Action: "lambda:GetLayerVersion", Resource: l}) // the handler says what is wrong with it
			continue
		}
		n, err := s.layerNeed(a, layerKey{p.Account, p.Region, p.Name}, p.Version)
		if err != nil {
			return nil, err
		}
		needs = append(needs, n)
	}
	return needs, nil
}

// writeLayer words a permission for a layer version as a statement.
func writeLayer(resource string, in *lambda.AddLayerVersionPermissionInput) (statement, error) {
	w := written{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: resource}
	switch {
	case in.Principal == "*":
		w.Principal = "*"
	case name.Account(in.Principal):
		w.Principal = map[string]string{"AWS": arn.New("iam", "", in.Principal, "root").String()}
	default:
		w.Principal = map[string]string{"AWS": in.Principal}
	}
	if o := wire.Val(in.OrganizationId); o != "" {
		if in.Principal != "*" {
			return statement{}, invalid("The principal must be * when an organization ID is given.")
		}
		w.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": o}}
	}
	text, err := json.Marshal(w)
	return statement{Sid: in.StatementId, JSON: string(text)}, err
}

// layerRow is the layer version that a call on its policy names, which must exist.
func (s *Service) layerRow(tx *store.Tx, k layerKey, version int64) (permissions, bool, error) {
	if has, err := s.t.layerVers.Has(tx, k.key(version)); err != nil || !has {
		return permissions{}, false, orElse(err, notFound("Layer version %s does not exist.", k.arn(version)))
	}
	return s.t.layerPolicy.Get(tx, k.key(version))
}

func (s *Service) addLayerPermission(c *gate.Call, in *lambda.AddLayerVersionPermissionInput) (*lambda.AddLayerVersionPermissionOutput, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	st, err := writeLayer(k.arn(in.VersionNumber), in)
	if err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	return gate.Commit(c, func(tx *store.Tx) (*lambda.AddLayerVersionPermissionOutput, error) {
		p, ok, err := s.layerRow(tx, k, in.VersionNumber)
		if err != nil {
			return nil, err
		}
		if in.RevisionId != nil && (!ok || p.Revision != *in.RevisionId) {
			return nil, staleRevision("GetLayerVersionPolicy")
		}
		if p.index(in.StatementId) >= 0 {
			return nil, conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId)
		}
		p.Statements = append(p.Statements, st)
		if n := len(p.document()); n > maxPolicy {
			return nil, awserr.New("PolicyLengthExceededException", 400, "The final policy size (%d) is bigger than the limit (%d).", n, maxPolicy)
		}
		p.Revision = revision
		return &lambda.AddLayerVersionPermissionOutput{Statement: &st.JSON, RevisionId: &revision}, s.t.layerPolicy.Put(tx, k.key(in.VersionNumber), p)
	})
}

func (s *Service) removeLayerPermission(c *gate.Call, in *lambda.RemoveLayerVersionPermissionInput) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	return gate.Commit(c, func(tx *store.Tx) (*lambda.RemoveLayerVersionPermissionOutput, error) {
		p, ok, err := s.layerRow(tx, k, in.VersionNumber)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, notFound("No policy is associated with the given resource.")
		}
		if in.RevisionId != nil && p.Revision != *in.RevisionId {
			return nil, staleRevision("GetLayerVersionPolicy")
		}
		i := p.index(in.StatementId)
		if i < 0 {
			return nil, notFound("Statement %s is not found in resource policy.", in.StatementId)
		}
		p.Statements, p.Revision = slices.Delete(p.Statements, i, i+1), revision
		if len(p.Statements) > 0 {
			err = s.t.layerPolicy.Put(tx, k.key(in.VersionNumber), p)
		} else {
			_, err = s.t.layerPolicy.Delete(tx, k.key(in.VersionNumber))
		}
		return &lambda.RemoveLayerVersionPermissionOutput{}, err
	})
}

func (s *Service) getLayerPolicy(c *gate.Call, in *lambda.GetLayerVersionPolicyInput) (*lambda.GetLayerVersionPolicyOutput, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	var p permissions
	err = c.View(func(tx *store.Tx) (err error) {
		var ok bool
		if p, ok, err = s.layerRow(tx, k, in.VersionNumber); err == nil && !ok {
			err = notFound("No policy is associated with the given resource.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambda.GetLayerVersionPolicyOutput{Policy: new(p.document()), RevisionId: &p.Revision}, nil
}
