package iam

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
)

const maxVersions = 5

func (v version) public(isDefault, withDocument bool) iam.PolicyVersion {
	out := iam.PolicyVersion{VersionId: &v.ID, IsDefaultVersion: &isDefault, CreateDate: &v.Created}
	if withDocument {
		out.Document = new(encoded(v.Document))
	}
	return out
}

// place orders versions, the newest first, so that a page may begin behind a version that is gone.
func (v version) place() string {
	n, _ := strconv.Atoi(strings.TrimPrefix(v.ID, "v")) // ids are made here, and AWS's own have the same form
	return fmt.Sprintf("%010d", math.MaxInt32-n)
}

func (p *managed) version(id string) (int, error) {
	i := slices.IndexFunc(p.Versions, func(v version) bool { return v.ID == id })
	if i < 0 {
		return i, noEntity("Policy %s version %s does not exist or is not attachable.", p.arn(), id)
	}
	return i, nil
}

func (s *Service) createPolicyVersion(c *gate.Call, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	if _, err := document(in.PolicyDocument, policy.Identity, maxManaged); err != nil {
		return nil, err
	}
	var out iam.PolicyVersion
	err := s.changeManaged(c, in.PolicyArn, func(p *managed) error {
		if len(p.Versions) >= maxVersions {
			return limit("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		v := version{"v" + strconv.Itoa(p.Next), in.PolicyDocument, c.Now()}
		p.Next++
		p.Versions = append(p.Versions, v)
		isDefault := in.SetAsDefault != nil && *in.SetAsDefault
		if isDefault {
			p.Default, p.Updated = v.ID, c.Now()
		}
		out = v.public(isDefault, false)
		return nil
	})
	return &iam.CreatePolicyVersionOutput{PolicyVersion: &out}, err
}

func (s *Service) getPolicyVersion(c *gate.Call, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	p, err := s.readManaged(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	i, err := p.version(in.VersionId)
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyVersionOutput{PolicyVersion: new(p.Versions[i].public(p.Versions[i].ID == p.Default, true))}, nil
}

func (s *Service) deletePolicyVersion(c *gate.Call, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	return &iam.DeletePolicyVersionOutput{}, s.changeManaged(c, in.PolicyArn, func(p *managed) error {
		i, err := p.version(in.VersionId)
		if err != nil {
			return err
		}
		if in.VersionId == p.Default {
			return conflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
}

func (s *Service) listPolicyVersions(c *gate.Call, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	page, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	p, err := s.readManaged(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	newest := slices.Clone(p.Versions)
	slices.Reverse(newest)
	found, next := cut(newest, page, version.place)
	out := &iam.ListPolicyVersionsOutput{Versions: []iam.PolicyVersion{}, Marker: next, IsTruncated: new(next != nil)}
	for _, v := range found {
		out.Versions = append(out.Versions, v.public(v.ID == p.Default, false))
	}
	return out, nil
}

func (s *Service) setDefaultPolicyVersion(c *gate.Call, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	return &iam.SetDefaultPolicyVersionOutput{}, s.changeManaged(c, in.PolicyArn, func(p *managed) error {
		if _, err := p.version(in.VersionId); err != nil {
			return err
		}
		p.Default, p.Updated = in.VersionId, c.Now()
		return nil
	})
}
