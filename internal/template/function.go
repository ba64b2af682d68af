package template

import (
	"encoding/base64"
	"math/big"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// args evaluates a function's list of arguments; want is how many it needs.
func (e *evaluator) args(arg, n *Node, want int, message string) ([]*Node, bool, error) {
	bad := tree.Errorf(n.Pos, "%s", message)
	if !arg.Is(tree.List) || len(arg.Items) != want {
		return nil, false, bad
	}
	r, err := e.list(arg)
	if err != nil {
		return nil, false, err
	}
	if !r.pending && len(r.node.Items) != want {
		return nil, false, bad
	}
	return r.node.Items, r.pending, nil
}

func (e *evaluator) join(arg, n *Node) (result, error) {
	const message = "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
	a, pending, err := e.args(arg, n, 2, message)
	if err != nil {
		return result{}, err
	}
	if pending {
		return e.wait("Fn::Join", at(tree.L(a...), arg.Pos), n)
	}
	if !a[0].Scalar() || !a[1].Is(tree.List) {
		return result{}, tree.Errorf(n.Pos, message)
	}
	parts := make([]string, len(a[1].Items))
	for i, it := range a[1].Items {
		if !it.Scalar() {
			return result{}, tree.Errorf(it.Pos, message)
		}
		parts[i] = it.Text
	}
	return result{node: at(tree.Str(strings.Join(parts, a[0].Text)), n.Pos)}, nil
}

func (e *evaluator) choose(arg, n *Node) (result, error) {
	const message = "Template error: Fn::Select requires a list argument with two elements: an integer index and a list"
	a, pending, err := e.args(arg, n, 2, message)
	if err != nil {
		return result{}, err
	}
	if pending {
		return e.wait("Fn::Select", at(tree.L(a...), arg.Pos), n)
	}
	if !a[0].Scalar() || !a[1].Is(tree.List) {
		return result{}, tree.Errorf(n.Pos, message)
	}
	i, err := strconv.Atoi(a[0].Text)
	if err != nil {
		return result{}, tree.Errorf(a[0].Pos, message)
	}
	if i < 0 || i >= len(a[1].Items) {
		return result{}, tree.Errorf(n.Pos, "Template error: Fn::Select cannot select nonexistent value at index %d", i)
	}
	return result{node: a[1].Items[i]}, nil
}

func (e *evaluator) split(arg, n *Node) (result, error) {
	const message = "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split."
	a, pending, err := e.args(arg, n, 2, message)
	if err != nil {
		return result{}, err
	}
	if pending {
		return e.wait("Fn::Split", at(tree.L(a...), arg.Pos), n)
	}
	if !a[0].Scalar() || a[0].Text == "" || !a[1].Scalar() {
		return result{}, tree.Errorf(n.Pos, message)
	}
	return result{node: at(tree.Strs(strings.Split(a[1].Text, a[0].Text)...), n.Pos)}, nil
}

func (e *evaluator) findInMap(arg, n *Node) (result, error) {
	const message = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value"
	extended := e.g.t.uses(LanguageExtensions)
	want := 3
	if extended && arg.Is(tree.List) && len(arg.Items) == 4 {
		want = 4
	}
	a, pending, err := e.args(arg, n, want, message)
	if err != nil {
		return result{}, err
	}
	if pending {
		if want == 3 {
			return result{}, tree.Errorf(n.Pos, "Template error: Fn::FindInMap cannot depend on a resource")
		}
		return e.wait("Fn::FindInMap", at(tree.L(a...), arg.Pos), n)
	}
	for _, k := range a[:3] {
		if !k.Scalar() {
			return result{}, tree.Errorf(k.Pos, message)
		}
	}
	m := e.g.t.root.Get("Mappings").Get(a[0].Text)
	if v := m.Dig(a[1].Text, a[2].Text); v != nil {
		return result{node: at(v.Clone(), n.Pos)}, nil
	}
	if want == 4 {
		if d := a[3].Get("DefaultValue"); d != nil {
			return result{node: d}, nil
		}
	}
	if m == nil {
		return result{}, tree.Errorf(n.Pos, "Template error: Mapping named '%s' is not present in the 'Mappings' section of template.", a[0].Text)
	}
	return result{}, tree.Errorf(n.Pos, "Template error: Unable to get mapping for %s::%s::%s", a[0].Text, a[1].Text, a[2].Text)
}

func (e *evaluator) base64(arg, n *Node) (result, error) {
	r, err := e.eval(arg)
	if err != nil {
		return result{}, err
	}
	if r.pending {
		return e.wait("Fn::Base64", r.node, n)
	}
	if !r.node.Scalar() {
		return result{}, tree.Errorf(n.Pos, "Template error: every Fn::Base64 object must have a String-typed value.")
	}
	return result{node: at(tree.Str(base64.StdEncoding.EncodeToString([]byte(r.node.Text))), n.Pos)}, nil
}

func (e *evaluator) zones(arg, n *Node) (result, error) {
	r, err := e.eval(arg)
	if err != nil {
		return result{}, err
	}
	if r.pending || !r.node.Is(tree.String) {
		return result{}, tree.Errorf(n.Pos, "Template error: Fn::GetAZs requires a region name or an empty string")
	}
	region := r.node.Text
	if region == "" {
		region = e.g.in.Region
	}
	if region == e.g.in.Region && len(e.g.in.AZs) > 0 {
		return result{node: at(tree.Strs(e.g.in.AZs...), n.Pos)}, nil
	}
	return result{node: at(tree.Strs(region+"a", region+"b", region+"c"), n.Pos)}, nil
}

func (e *evaluator) importValue(arg, n *Node) (result, error) {
	r, err := e.eval(arg)
	if err != nil {
		return result{}, err
	}
	if r.pending || !r.node.Scalar() {
		return result{}, tree.Errorf(n.Pos, "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs")
	}
	if e.g.in.Imports != nil {
		if v, ok := e.g.in.Imports(r.node.Text); ok {
			e.g.imported[r.node.Text] = true
			return result{node: at(tree.Str(v), n.Pos)}, nil
		}
	}
	return result{}, tree.Errorf(n.Pos, "No export named %s found.", r.node.Text)
}

// extension is Fn::Length and Fn::ToJsonString of AWS::LanguageExtensions.
func (e *evaluator) extension(name string, arg, n *Node) (result, error) {
	r, err := e.eval(arg)
	if err != nil {
		return result{}, err
	}
	if r.pending {
		return e.wait(name, r.node, n)
	}
	if name == "Fn::ToJsonString" {
		if !r.node.Is(tree.Map) && !r.node.Is(tree.List) {
			return result{}, tree.Errorf(n.Pos, "Template error: Fn::ToJsonString requires an object or an array")
		}
		return result{node: at(tree.Str(r.node.JSON("")), n.Pos)}, nil
	}
	if !r.node.Is(tree.List) {
		return result{}, tree.Errorf(n.Pos, "Template error: Fn::Length requires a list")
	}
	return result{node: at(tree.Integer(len(r.node.Items)), n.Pos)}, nil
}

// cidr makes [block, count, hostBits] into a list of count smaller blocks.
func (e *evaluator) cidr(arg, n *Node) (result, error) {
	const message = "Template error: Fn::Cidr requires a list argument: an IP block, a count between 1 and 256 and optionally the number of subnet bits"
	if arg.Is(tree.List) && len(arg.Items) == 2 {
		arg = at(tree.L(arg.Items[0], arg.Items[1], tree.Integer(8)), arg.Pos)
	}
	a, pending, err := e.args(arg, n, 3, message)
	if err != nil {
		return result{}, err
	}
	if pending {
		return e.wait("Fn::Cidr", at(tree.L(a...), arg.Pos), n)
	}
	bad := tree.Errorf(n.Pos, message)
	for _, v := range a {
		if !v.Scalar() {
			return result{}, bad
		}
	}
	block, err1 := netip.ParsePrefix(a[0].Text)
	count, err2 := strconv.Atoi(a[1].Text)
	host, err3 := strconv.Atoi(a[2].Text)
	if err1 != nil || err2 != nil || err3 != nil || count < 1 || count > 256 || host < 1 {
		return result{}, bad
	}
	bits := block.Addr().BitLen() - host
	if bits < block.Bits() || bits-block.Bits() < 31 && count > 1<<(bits-block.Bits()) {
		return result{}, tree.Errorf(n.Pos, "Template error: Fn::Cidr cannot divide %s into %d blocks of %d bits", block, count, host)
	}
	out := tree.L()
	base := new(big.Int).SetBytes(block.Masked().Addr().AsSlice())
	step := new(big.Int).Lsh(big.NewInt(1), uint(host))
	for range count {
		raw := base.FillBytes(make([]byte, block.Addr().BitLen()/8))
		ip, _ := netip.AddrFromSlice(raw)
		out.Add(tree.Str(netip.PrefixFrom(ip, bits).String()))
		base.Add(base, step)
	}
	return result{node: at(out, n.Pos)}, nil
}
