package Bitrix1C::Portal::Methods;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The methods of the stand-in portal.  Each is a code ($store, $spec, $params)
# that returns { error => see Answers } or { json, total, next }: the result in
# JSON and, for lists, what stands beside it.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(method_code);

# table, name of one in an answer of get, the same of update (undef: only true)
# and the error when there is no such row; CRM has no names around its results
my %TABLE = (
    'sale.order' => { name => 'orders', one => 'order', changed => 'order',
                      absent => 'noorder' },
    'catalog.product' => { name => 'products', one => 'product',
                           changed => 'element', absent => undef },
    'catalog.price' => { name => 'prices', one => 'price',
                         changed => 'price', absent => undef },
    'catalog.storeproduct' => { name => 'storeProducts', one => 'storeProduct',
                                changed => 'storeProduct', absent => undef },
    'crm.deal' => { name => 'deals', absent => 'absent', crm => 1 },
);

my %CODE = (
    list => \&list, get => \&get, update => \&update, add => \&add,
    getfields => \&get_fields,
);

my %METHOD = (
    'catalog.storeproduct.update' => \&set_stock,
    'user.current' => sub { return { json => '{"ID":"1","NAME":"1C"}' } },
    'department.get' => sub { return { json => '[]', total => 0 } },
);

my %known;


# (code, spec, scope), or () if there is no such method

sub method_code {
    my ($method) = @_;
    return @{ $known{$method} //= [find($method)] };
}


sub find {
    my ($method) = @_;
    my ($of, $verb) = $method =~ /^(.*)\.(\w+)$/ or return;
    my ($scope) = split /\./, $method;

    return ($METHOD{$method}, $TABLE{$of}, $scope) if $METHOD{$method};

    my $spec = $TABLE{$of} or return;
    my $code = $CODE{$verb} or return;

    # those that are added without a product are enough
    return if $verb eq 'add' && $of !~ /^(?:sale\.order|crm\.deal)$/;

    return ($code, $spec, $scope);
}


sub list {
    my ($store, $spec, $params) = @_;
    my ($rows, $total, $next) = $store->page($spec->{name}, $params);

    $rows = "{\"$spec->{name}\":$rows}" if !$spec->{crm};

    return { json => $rows, total => $total, next => $next };
}


sub get {
    my ($store, $spec, $params) = @_;
    my $id = $params->{id} // $params->{ID};

    return no_id($spec) if !defined $id || ref $id;

    my $row = $store->row($spec->{name}, $id);
    return absent($spec, $id) if !defined $row;

    return { json => $spec->{crm} ? $row : "{\"$spec->{one}\":$row}" };
}


sub update {
    my ($store, $spec, $params) = @_;
    my $id = $params->{id} // $params->{ID};

    return no_id($spec) if !defined $id || ref $id;
    return missing('fields') if !ref $params->{fields};

    $store->update($spec->{name}, $id, $params->{fields})
        or return absent($spec, $id);

    return changed($store, $spec, $id);
}


sub changed {
    my ($store, $spec, $id) = @_;

    return { json => 'true' } if $spec->{crm};
    return { json => "{\"$spec->{changed}\":"
                     . $store->row($spec->{name}, $id) . '}' };
}


sub add {
    my ($store, $spec, $params) = @_;
    my $fields = $params->{fields};

    return missing('fields') if !ref $fields;

    if ($spec->{crm}) {
        return { json => $store->add($spec->{name}, $fields) };
    }

    my @absent = grep { !defined $fields->{$_} } qw(lid personTypeId currency);
    return required(@absent) if @absent;

    my $id = $store->add_order($fields);
    return changed($store, $spec, $id);
}


sub get_fields {
    my ($store, $spec) = @_;
    my $table = $store->{tables}{$spec->{name}};

    my $fields = '{' . join(',', map { "\"$_\":{\"type\":\""
        . ($table->{type}{$_} eq 'n' ? 'double' : 'string') . '"}' }
        @{ $table->{fields} }) . '}';

    return { json => $spec->{crm} ? $fields
                                  : "{\"$spec->{one}\":$fields}" };
}


# Nobody has documented it and current portals do not have it, but integrations
# call it: an amount by the row's id, or by product and store, which stand in
# "fields" or beside it.

sub set_stock {
    my ($store, $spec, $params) = @_;
    my $fields = ref $params->{fields} ? $params->{fields} : $params;
    my ($product, $place) = @$fields{qw(productId storeId)};
    my $amount = $fields->{amount} // $fields->{quantity};
    my $id = $params->{id};

    return required('amount') if !defined $amount || ref $amount;

    if (!defined $id) {
        my @absent = grep { my $given = $fields->{$_} // '';
                            $given eq '' || $given =~ tr/0-9//c }
                     qw(productId storeId);
        return required(@absent) if @absent;
        return absent({}, $product) if !$store->has('products', $product);

        $id = $store->{pairs}{"$product/$place"};

        return changed($store, $spec,
                       $store->stock($product, $place, $amount))
            if !defined $id;
    }

    $store->update($spec->{name}, $id, { "\0" => ['amount'],
                                         amount => $amount })
        or return absent($spec, $id);

    return changed($store, $spec, $id);
}


sub no_id {
    my ($spec) = @_;
    return $spec->{crm} ? { error => 'badid' } : missing('id');
}


sub missing {
    my ($name) = @_;
    return { error => [400, '100',
                       "Could not find value for parameter {$name}"] };
}


sub required {
    return { error => [400, '0', 'Required fields: ' . join ', ', @_] };
}


sub absent {
    my ($spec, $id) = @_;
    return { error => $spec->{absent}
                      // [400, '0', "Row with ID $id does not exist"] };
}

1;
